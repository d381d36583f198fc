//===- Link.cpp - From objects to one ELF file ----------------------------===//
//
//   level.o … descriptor.o  +  runtime.o             --ld.lld--> library
//                           +  run.o, Scrt1.o …      --ld.lld--> program
//                           +  runtime.o             --ld.lld -r--> object
//
// runtime.o and run.o (the runtime and the body of qtale-run) are prelinked per
// target; the C library and its start files are the target's own. What is
// missing is an error that says what to install.
//
//===----------------------------------------------------------------------===//

#include "Link.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ObjCopy/ConfigManager.h"
#include "llvm/ObjCopy/ObjCopy.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/TargetParser/Host.h"
#include <optional>

using namespace llvm;
using namespace qtale;

//===----------------------------------------------------------------------===//
// Scratch
//===----------------------------------------------------------------------===//

Expected<ScratchFolder> ScratchFolder::create() {
  SmallString<128> path;
  if (std::error_code code = sys::fs::createUniqueDirectory("qtale", path))
    return createStringError("can't make a temporary folder (TMPDIR): " +
                             code.message());
  return ScratchFolder(path.str().str());
}

ScratchFolder::~ScratchFolder() {
  if (!path.empty())
    sys::fs::remove_directories(path);
}

std::string ScratchFolder::getFile(StringRef name) const {
  SmallString<128> file(path);
  sys::path::append(file, name);
  return file.str().str();
}

Expected<std::string> ScratchFolder::write(StringRef name,
                                           ArrayRef<char> bytes) const {
  std::string file = getFile(name);
  std::error_code code;
  raw_fd_ostream stream(file, code);
  if (!code) {
    stream.write(bytes.data(), bytes.size());
    stream.close();
    code = stream.error();
    stream.clear_error();
  }
  if (code)
    return createStringError("can't write '" + file + "': " + code.message());
  return file;
}

//===----------------------------------------------------------------------===//
// What a link needs
//===----------------------------------------------------------------------===//

static std::string join(StringRef folder, StringRef name) {
  SmallString<128> path(folder);
  sys::path::append(path, name);
  return path.str().str();
}

static std::optional<std::string> findIn(ArrayRef<std::string> folders,
                                         StringRef name) {
  for (const std::string &folder : folders)
    if (sys::fs::exists(join(folder, name)))
      return join(folder, name);
  return std::nullopt;
}

static Expected<std::string> findLinker() {
  if (auto given = sys::Process::GetEnv("QTALE_LLD")) {
    if (sys::fs::can_execute(*given))
      return *given;
    return createStringError("QTALE_LLD is '" + *given +
                             "', which is not a program");
  }
  std::string versioned = "ld.lld-" + std::to_string(LLVM_VERSION_MAJOR);
  std::string tools[] = {QTALE_LLVM_TOOLS};
  for (StringRef name : {StringRef("ld.lld"), StringRef(versioned)})
    if (auto path = sys::findProgramByName(name, {QTALE_LLVM_TOOLS}))
      return *path;
  for (StringRef name : {StringRef(versioned), StringRef("ld.lld")})
    if (auto path = sys::findProgramByName(name))
      return *path;
  return createStringError("the linker ld.lld was not found, neither in " +
                           tools[0] + " nor in PATH; install it (Debian: lld-" +
                           std::to_string(LLVM_VERSION_MAJOR) +
                           "), or give its path in QTALE_LLD");
}

static bool isNative(const Triple &triple) {
  return triple.getArch() == Triple(sys::getDefaultTargetTriple()).getArch();
}

/// "x86_64-linux-gnu": the triple as folders of libraries are named.
static std::string getLibraryTriple(const Triple &triple) {
  return (triple.getArchName() + "-" + triple.getOSName() + "-" +
          triple.getEnvironmentName())
      .str();
}

/// Debian's package of another architecture's library.
static std::string getCrossPackage(StringRef library, const Triple &triple) {
  return (library + (triple.isAArch64() ? "-arm64-cross" : "-amd64-cross"))
      .str();
}

static Expected<std::string> findRuntime(StringRef name, const Triple &triple,
                                         StringRef toolPath) {
  std::string target = getLibraryTriple(triple);
  std::vector<std::string> folders;
  auto given = sys::Process::GetEnv("QTALE_RUNTIME_DIR");
  if (given) {
    folders = {join(*given, target), *given};
  } else {
    SmallString<128> real;
    if (sys::fs::real_path(toolPath, real))
      real = toolPath;
    StringRef bin = sys::path::parent_path(real);
    folders = {join(sys::path::parent_path(bin), "lib/qtale/" + target)};
  }
  if (auto path = findIn(folders, name))
    return *path;
  std::string missing = "no '" + join(folders[0], name) + "'";
  if (given || isNative(triple))
    return createStringError("the runtime for " + target +
                             " was not found: " + missing +
                             "; install qtale whole, or give the runtime's "
                             "folder in QTALE_RUNTIME_DIR");
  return createStringError(
      "this qtale-compile was built without a runtime for " + target + " (" +
      missing + "); install the target's C++ library (Debian: " +
      getCrossPackage("libstdc++-12-dev", triple) +
      "), then configure and build qtale again");
}

/// Folders of the target's C library, Debian's for other architectures
/// included.
static std::vector<std::string> getLibraryFolders(const Triple &triple) {
  std::string target = getLibraryTriple(triple);
  std::vector<std::string> folders = {"/usr/lib/" + target, "/lib/" + target,
                                      "/usr/" + target + "/lib"};
  if (isNative(triple))
    folders.insert(folders.end(), {"/usr/lib64", "/lib64", "/usr/lib", "/lib"});
  return folders;
}

static Error missingLibC(const Triple &triple, StringRef name) {
  std::string package =
      isNative(triple) ? "libc6-dev" : getCrossPackage("libc6-dev", triple);
  return createStringError(
      "'" + name + "' of the C library for " + getLibraryTriple(triple) +
      " was not found; install it (Debian: " + package + ")");
}

static StringRef getDynamicLinker(const Triple &triple) {
  return triple.isAArch64() ? "/lib/ld-linux-aarch64.so.1"
                            : "/lib64/ld-linux-x86-64.so.2";
}

//===----------------------------------------------------------------------===//
// The link
//===----------------------------------------------------------------------===//

static Error runLinker(ArrayRef<std::string> arguments,
                       const ScratchFolder &scratch) {
  SmallVector<StringRef> views(arguments.begin(), arguments.end());
  std::string messages = scratch.getFile("messages");
  std::optional<StringRef> redirects[] = {StringRef(""), StringRef(messages),
                                          StringRef(messages)};
  std::string why;
  int code = sys::ExecuteAndWait(arguments[0], views, std::nullopt, redirects,
                                 0, 0, &why);
  if (code == 0)
    return Error::success();
  if (auto text = MemoryBuffer::getFile(messages))
    why += (*text)->getBuffer().rtrim();
  return createStringError("linking failed (" + arguments[0] + "): " + why);
}

/// Hidden symbols become local: nothing of the runtime or of its C++ library
/// meets those of the program that the object is linked into.
static Error localizeHidden(StringRef from, StringRef to) {
  auto buffer = MemoryBuffer::getFile(from);
  if (!buffer)
    return createStringError("can't read '" + from +
                             "': " + buffer.getError().message());
  auto object = object::ObjectFile::createObjectFile(**buffer);
  if (!object)
    return object.takeError();
  objcopy::ConfigManager config;
  config.Common.DiscardMode = objcopy::DiscardType::All;
  config.ELF.LocalizeHidden = true;
  std::error_code code;
  raw_fd_ostream stream(to, code);
  if (code)
    return createStringError("can't write '" + to + "': " + code.message());
  Error error = objcopy::executeObjcopyOnBinary(config, **object, stream);
  stream.close();
  code = stream.error();
  stream.clear_error();
  if (!error && code)
    return createStringError("can't write '" + to + "': " + code.message());
  return error;
}

Expected<Linker> Linker::find(ArtifactOptions::Kind kind, StringRef tripleName,
                              StringRef toolPath) {
  Triple triple(tripleName);
  bool program = kind == ArtifactOptions::Executable;
  Linker found;
  found.kind = kind;
  Expected<std::string> linker = findLinker();
  if (!linker)
    return linker.takeError();
  found.linker = std::move(*linker);
  Expected<std::string> runtime =
      findRuntime(program ? "run.o" : "runtime.o", triple, toolPath);
  if (!runtime)
    return runtime.takeError();
  found.runtime = std::move(*runtime);
  if (kind != ArtifactOptions::Object)
    if (Error error = found.findLibC(triple))
      return error;
  return found;
}

Error Linker::findLibC(const Triple &triple) {
  // Linker scripts of the C library name more files of its folders.
  libraryFolders = getLibraryFolders(triple);
  auto find = [&](StringRef name, std::vector<std::string> &list) -> Error {
    auto path = findIn(libraryFolders, name);
    if (!path)
      return missingLibC(triple, name);
    list.push_back(*path);
    return Error::success();
  };
  for (StringRef name : {"libm.so", "libc.so"})
    if (Error error = find(name, after))
      return error;
  if (kind != ArtifactOptions::Executable)
    return Error::success();
  dynamicLinker = getDynamicLinker(triple).str();
  for (StringRef name : {"Scrt1.o", "crti.o"})
    if (Error error = find(name, before))
      return error;
  return find("crtn.o", after);
}

Error Linker::link(ArrayRef<std::string> objects, const ScratchFolder &scratch,
                   StringRef output) const {
  if (kind == ArtifactOptions::Object)
    return linkObject(objects, scratch, output);

  std::vector<std::string> arguments = {linker,
                                        "-o",
                                        output.str(),
                                        "--build-id=none",
                                        "--strip-all",
                                        "--gc-sections",
                                        "--eh-frame-hdr",
                                        "--hash-style=gnu",
                                        "--as-needed",
                                        "--no-undefined",
                                        "-z",
                                        "noexecstack",
                                        "-z",
                                        "relro",
                                        "-z",
                                        "now"};
  auto add = [&](ArrayRef<std::string> more) {
    arguments.insert(arguments.end(), more.begin(), more.end());
  };
  if (kind == ArtifactOptions::Executable) {
    add({"-pie", "--dynamic-linker", dynamicLinker});
  } else {
    StringRef exports = "{ global: qtale_get_api; local: *; };\n";
    Expected<std::string> script =
        scratch.write("exports", {exports.data(), exports.size()});
    if (!script)
      return script.takeError();
    add({"-shared", "--version-script", *script});
  }
  for (const std::string &folder : libraryFolders)
    add({"-L", folder});
  add(before);
  add(objects);
  add(runtime);
  add(after);
  return runLinker(arguments, scratch);
}

Error Linker::linkObject(ArrayRef<std::string> objects,
                         const ScratchFolder &scratch, StringRef output) const {
  std::string whole = scratch.getFile("whole.o");
  std::vector<std::string> arguments = {linker, "-r", "--strip-debug", "-o",
                                        whole};
  arguments.insert(arguments.end(), objects.begin(), objects.end());
  arguments.push_back(runtime);
  if (Error error = runLinker(arguments, scratch))
    return error;
  return localizeHidden(whole, output);
}
