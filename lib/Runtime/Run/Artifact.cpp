//===- Artifact.cpp - A compiled model, loaded ----------------------------===//
//
//   path --look at it--> dlopen --> qtale_get_api(version) --> model_open
//
// The loader's own messages are for people who build libraries, so what users
// get wrong (a model that is not compiled, the weights, a program) is seen
// from the file's name and first bytes before.
//
//===----------------------------------------------------------------------===//

#include "Artifact.h"
#include "ElfFile.h"
#include "Messages.h"
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <sys/stat.h>
#include <time.h>

using namespace qtale::run;

/// The version whose table ends before the calls about profiles.
static constexpr uint32_t kWithoutProfiles = 2;

double qtale::run::now() {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

static bool endsWith(const std::string &text, const char *end) {
  size_t length = std::strlen(end);
  return text.size() >= length &&
         text.compare(text.size() - length, length, end) == 0;
}

/// Refuses what can't be an artifact.
static int inspect(const std::string &path) {
  std::FILE *file = std::fopen(path.c_str(), "rb");
  if (!file)
    return error("cannot open '%s': %s", path.c_str(), std::strerror(errno));
  struct stat status;
  if (fstat(fileno(file), &status) != 0)
    status = {};
  bool folder = S_ISDIR(status.st_mode);
  std::string problem = folder ? "" : findElfProblem(file, status.st_size);
  std::fclose(file);
  if (folder)
    return error("'%s' is a folder; give the .so that qtale-compile wrote",
                 path.c_str());
  for (const char *source : {".onnx", ".onnxtxt", ".mlir"})
    if (endsWith(path, source))
      return error("'%s' is a model that is not compiled yet; compile it with: "
                   "qtale-compile %s -o %s.so",
                   path.c_str(), path.c_str(),
                   path.substr(0, path.size() - std::strlen(source)).c_str());
  if (endsWith(path, ".safetensors"))
    return error("'%s' holds weights; give the .so beside it", path.c_str());
  if (!problem.empty())
    return error("'%s' %s", path.c_str(), problem.c_str());
  return kDone;
}

int Artifact::load(const std::string &path) {
  if (int code = inspect(path))
    return code;
  // A name without a slash would be looked for in the system's folders.
  std::string place = path.find('/') == std::string::npos ? "./" + path : path;
  library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    std::string reason = dlerror();
    bool isProgram = reason.find("executable") != std::string::npos;
    return error("cannot load '%s': %s%s", path.c_str(), reason.c_str(),
                 isProgram ? "; a program made by --emit=exe is run by itself"
                           : "");
  }
  using GetApi = const qtale_api *(*)(uint32_t);
  GetApi getApi = reinterpret_cast<GetApi>(dlsym(library, "qtale_get_api"));
  if (!getApi)
    return error("'%s' is a library, but no artifact of qtale-compile",
                 path.c_str());
  api = getApi(QTALE_API_VERSION);
  if (!api)
    api = getApi(kWithoutProfiles);
  if (!api || api->version > QTALE_API_VERSION)
    return error("'%s' was compiled by another version of qtale (this %s "
                 "speaks version %d of the interface); compile the model again",
                 path.c_str(), programName(), QTALE_API_VERSION);
  return kDone;
}

int Artifact::open(const Options &options, const qtale_api *embedded) {
  double begin = now();
  api = embedded;
  if (!api)
    if (int code = load(options.artifact))
      return code;
  qtale_error failure;
  const char *weights =
      options.weights.empty() ? nullptr : options.weights.c_str();
  if (api->model_open(weights, nullptr, &model, &failure) != QTALE_OK)
    return error("%s", failure.message);
  loadSeconds = now() - begin;
  return kDone;
}

int32_t Artifact::detokenize(int32_t previous, int32_t token,
                             std::string &bytes, qtale_error *failure) const {
  size_t length = 64;
  int32_t code;
  do {
    bytes.resize(length);
    code = api->detokenize(model, previous, &token, 1, &bytes[0], bytes.size(),
                           &length, failure);
  } while (code == QTALE_LIMIT && length > bytes.size());
  if (code == QTALE_OK)
    bytes.resize(length);
  return code;
}

Artifact::~Artifact() {
  if (model)
    api->model_close(model);
  if (library)
    dlclose(library);
}
