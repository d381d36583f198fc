//===- Options.h - The command line of qtale-run, read --------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_OPTIONS_H
#define QTALE_LIB_RUNTIME_RUN_OPTIONS_H

#include "Sampler.h"
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace qtale::run {

struct Options {
  std::string artifact; /// empty in a program that holds its model
  std::string weights;  /// empty: the file beside the artifact

  // What to do.
  std::optional<std::string> prompt;
  std::optional<std::string> ids; /// "1,2,3" or a .npy file
  std::vector<std::pair<std::string, std::string>> inputs; /// name, file
  bool info = false;
  bool bench = false;
  bool verify = false;
  bool help = false;

  // How.
  std::string outputDir;
  std::optional<int64_t> steps;
  std::vector<int32_t> stops;
  Sampling sampling;
  std::optional<uint64_t> seed;
  int64_t threads = 0; /// 0: the machine's cores
  bool outputIds = false;
  bool json = false;
  bool profile = false;
  std::string profileFile; /// empty: tables only

  // Of routed models.
  std::optional<double> threshold;
  std::optional<double> ratio;
  std::optional<int64_t> budget;
  bool stats = false;
  std::string statsFile;         /// empty: a table
  const char *routing = nullptr; /// one of these options, where one was given
};

/// Reads the command line; kDone or kMisused, which was reported.
/// `takesArtifact`: the first plain word is the artifact.
int parseOptions(int argc, char **argv, bool takesArtifact, Options &options);

/// The text of --help.
std::string helpText(bool takesArtifact);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_OPTIONS_H
