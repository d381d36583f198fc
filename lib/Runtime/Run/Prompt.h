//===- Prompt.h - The tokens that a text begins with ----------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_PROMPT_H
#define QTALE_LIB_RUNTIME_RUN_PROMPT_H

#include "Artifact.h"

namespace qtale::run {

/// The tokens of --prompt or --ids: at least one, at most the context.
int readPrompt(const Artifact &artifact, const Options &options,
               std::vector<int32_t> &tokens);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_PROMPT_H
