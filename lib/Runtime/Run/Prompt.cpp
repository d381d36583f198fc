//===- Prompt.cpp - The tokens that a text begins with --------------------===//
//
//   --prompt TEXT     BOS, if a text of the model begins so, then the text's ids
//   --ids 1,2,3       exactly these
//   --ids FILE.npy    exactly these: int32 or int64, [N] or [1, N]
//
//===----------------------------------------------------------------------===//

#include "Prompt.h"
#include "Messages.h"
#include "Npy.h"
#include "Numbers.h"
#include <algorithm>

using namespace qtale::run;

/// BOS, if a text of the model begins so, and the text's ids.
static int promptTokens(const Artifact &artifact, const std::string &prompt,
                        std::vector<int32_t> &tokens) {
  int64_t bos = artifact.api->model_bos(artifact.model);
  if (bos >= 0)
    tokens.push_back(static_cast<int32_t>(bos));
  if (!prompt.empty()) {
    // A token takes a byte at least, and a normalizer may add a few.
    std::vector<int32_t> ids(prompt.size() + 16);
    qtale_error failure;
    size_t count = 0;
    int32_t code;
    do {
      ids.resize(std::max(ids.size(), count));
      code =
          artifact.api->tokenize(artifact.model, prompt.data(), prompt.size(),
                                 ids.data(), ids.size(), &count, &failure);
    } while (code == QTALE_LIMIT && count > ids.size());
    if (code != QTALE_OK)
      return error("--prompt: %s", failure.message);
    tokens.insert(tokens.end(), ids.begin(), ids.begin() + count);
  }
  if (tokens.empty())
    return error("the prompt has no tokens, and this model has no token to "
                 "begin with; give a text");
  return kDone;
}

/// The integers of a .npy file, in their order.
static int fileTokens(const std::string &path, std::vector<int32_t> &tokens) {
  Npy array;
  std::string wrong = readNpy(path, array);
  if (!wrong.empty())
    return error("--ids: %s", wrong.c_str());
  int32_t dtype = array.tensor.dtype;
  if (dtype != QTALE_INT32 && dtype != QTALE_INT64)
    return error("--ids: '%s' holds %s, but ids are int32 or int64",
                 path.c_str(), dtypeName(dtype));
  uint64_t count;
  countElements(array.tensor, count);
  int32_t rank = array.tensor.rank;
  if (rank < 1 || rank > 2 || (rank == 2 && array.tensor.dims[0] != 1))
    return error("--ids: '%s' has the shape %s, but ids are [N] or [1, N]",
                 path.c_str(), shapeText(array.tensor).c_str());
  for (uint64_t i = 0; i < count; ++i) {
    int64_t id = dtype == QTALE_INT32
                     ? static_cast<const int32_t *>(array.tensor.data)[i]
                     : static_cast<const int64_t *>(array.tensor.data)[i];
    if (id < 0 || id > INT32_MAX)
      return error("--ids: '%s' holds %lld, which is no token id", path.c_str(),
                   static_cast<long long>(id));
    tokens.push_back(static_cast<int32_t>(id));
  }
  if (tokens.empty())
    return error("--ids: '%s' is empty; give at least one id", path.c_str());
  return kDone;
}

static int readIds(const std::string &ids, std::vector<int32_t> &tokens) {
  if (ids.size() > 4 && ids.compare(ids.size() - 4, 4, ".npy") == 0)
    return fileTokens(ids, tokens);
  if (!parseIds(ids, tokens))
    return misuse("--ids must be ids with commas between, or a .npy file, but "
                  "is '%s'",
                  ids.c_str());
  return kDone;
}

int qtale::run::readPrompt(const Artifact &artifact, const Options &options,
                           std::vector<int32_t> &tokens) {
  if (int code = options.prompt
                     ? promptTokens(artifact, *options.prompt, tokens)
                     : readIds(*options.ids, tokens))
    return code;
  int64_t context = artifact.api->model_context(artifact.model);
  if (static_cast<int64_t>(tokens.size()) > context)
    return error("the prompt has %zu tokens, but the model's context holds "
                 "%lld; give a shorter one",
                 tokens.size(), static_cast<long long>(context));
  return kDone;
}
