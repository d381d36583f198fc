//===- Run.cpp - The body of qtale-run ------------------------------------===//
//
//   options --> artifact --> verify? --> info | bench | call | generate
//
//===----------------------------------------------------------------------===//

#include "Run.h"
#include "Bench.h"
#include "Call.h"
#include "Generate.h"
#include "Json.h"
#include "Messages.h"
#include <csignal>
#include <exception>

using namespace qtale::run;

static int showInfo(const Artifact &artifact, const Options &options) {
  std::string json = artifact.api->model_info(artifact.model);
  return print(options.json ? json + "\n" : jsonTable(json)) ? kDone : kFailed;
}

static int verify(const Artifact &artifact) {
  qtale_error failure;
  if (artifact.api->model_verify(artifact.model, &failure) != QTALE_OK)
    return error("%s", failure.message);
  note("the weights are as they were compiled");
  return kDone;
}

static int execute(const Options &options, const qtale_api *embedded) {
  Artifact artifact;
  if (int code = artifact.open(options, embedded))
    return code;
  if (options.routing && !artifact.api->model_routing(artifact.model))
    return error("this model has no router, so %s means nothing to it",
                 options.routing);
  if (options.verify)
    if (int code = verify(artifact))
      return code;
  if (options.info)
    return showInfo(artifact, options);
  if (options.bench)
    return bench(artifact, options);
  if (!options.inputs.empty())
    return call(artifact, options);
  if (options.prompt || options.ids)
    return generate(artifact, options);
  return kDone;
}

int qtale::run::main(int argc, char **argv, const qtale_api *embedded) {
  if (argc > 0)
    setProgramName(argv[0]);
  // A reader that goes away (| head) is a failed write, not a signal; so is a
  // file beyond the limit of its size.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    Options options;
    if (int code = parseOptions(argc, argv, !embedded, options))
      return code;
    if (options.help)
      return print(helpText(!embedded)) ? kDone : kFailed;
    return execute(options, embedded);
  } catch (const std::exception &exception) {
    // Only the standard library throws here, for want of memory.
    return error("out of memory (%s)", exception.what());
  }
}
