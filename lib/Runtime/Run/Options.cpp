//===- Options.cpp - The command line of qtale-run, read ------------------===//
//
//   one table: name, value, help, and what it sets; --help is printed from it
//
// "--name VALUE" and "--name=VALUE" are the same.
//
//===----------------------------------------------------------------------===//

#include "Options.h"
#include "Messages.h"
#include "Numbers.h"
#include <cstring>

using namespace qtale::run;

namespace {

enum class Value { None, Required, Optional };

struct Option {
  const char *name;
  const char *value; /// its name in --help; null: takes none
  const char *help;
  Value kind;
  /// Null, or what is wrong with the value.
  const char *(*set)(Options &, const std::string &value);
};

constexpr const char *kWholeNumber = "a whole number of at least 0";

/// The name of a group, between the options of --help.
constexpr Option group(const char *title) {
  return {nullptr, nullptr, title, Value::None, nullptr};
}

} // namespace

static const char *setInput(Options &options, const std::string &value) {
  size_t equal = value.find('=');
  if (equal == std::string::npos || equal == 0 || equal + 1 == value.size())
    return "NAME=FILE.npy";
  options.inputs.emplace_back(value.substr(0, equal), value.substr(equal + 1));
  return nullptr;
}

static const char *setStop(Options &options, const std::string &value) {
  int64_t id;
  if (!parseWhole(value, 0, INT32_MAX, id))
    return "a token id";
  options.stops.push_back(static_cast<int32_t>(id));
  return nullptr;
}

static const char *setSteps(Options &options, const std::string &value) {
  int64_t steps;
  if (!parseWhole(value, 0, INT64_MAX, steps))
    return kWholeNumber;
  options.steps = steps;
  return nullptr;
}

static const char *setSeed(Options &options, const std::string &value) {
  int64_t seed;
  if (!parseWhole(value, 0, INT64_MAX, seed))
    return kWholeNumber;
  options.seed = static_cast<uint64_t>(seed);
  return nullptr;
}

static const char *setOutput(Options &options, const std::string &value) {
  if (value != "text" && value != "ids")
    return "text or ids";
  options.outputIds = value == "ids";
  return nullptr;
}

static const char *setTemperature(Options &o, const std::string &value) {
  return parseReal(value, 0, 1e6, o.sampling.temperature)
             ? nullptr
             : "a number of at least 0";
}

static const char *setTopP(Options &options, const std::string &value) {
  return parseReal(value, 0, 1, options.sampling.topP) ? nullptr
                                                       : "a number from 0 to 1";
}

static const char *setThreshold(Options &options, const std::string &value) {
  options.routing = "--threshold";
  return parseReal(value, 0, 1e6, options.threshold.emplace())
             ? nullptr
             : "a number of at least 0 (0 runs everything)";
}

static const char *setRatio(Options &options, const std::string &value) {
  options.routing = "--ratio";
  double &ratio = options.ratio.emplace();
  return parseReal(value, 0, 1, ratio) && ratio > 0
             ? nullptr
             : "a number above 0 and at most 1";
}

static const char *setBudget(Options &options, const std::string &value) {
  options.routing = "--budget";
  return parseWhole(value, 0, INT64_MAX, options.budget.emplace())
             ? nullptr
             : kWholeNumber;
}

static const char *setStats(Options &options, const std::string &value) {
  options.routing = "--stats";
  options.stats = true;
  options.statsFile = value;
  return nullptr;
}

static const char *setProfile(Options &options, const std::string &value) {
  options.profile = true;
  options.profileFile = value;
  return nullptr;
}

static const Option kOptions[] = {
    group("What to do (one of these; --verify goes with any)"),
    {"--prompt", "TEXT", "continue this text", Value::Required,
     [](Options &o, const std::string &v) -> const char * {
       o.prompt = v;
       return nullptr;
     }},
    {"--ids", "1,2,3|FILE.npy", "continue these token ids, exactly as given",
     Value::Required,
     [](Options &o, const std::string &v) -> const char * {
       o.ids = v;
       return nullptr;
     }},
    {"--input", "NAME=FILE.npy",
     "call the model as a function (once per input)", Value::Required,
     setInput},
    {"--info", nullptr, "describe the model", Value::None,
     [](Options &o, const std::string &) -> const char * {
       o.info = true;
       return nullptr;
     }},
    {"--bench", nullptr, "measure load, prompt and decode speed", Value::None,
     [](Options &o, const std::string &) -> const char * {
       o.bench = true;
       return nullptr;
     }},
    {"--verify", nullptr, "check every byte of the weights first", Value::None,
     [](Options &o, const std::string &) -> const char * {
       o.verify = true;
       return nullptr;
     }},
    {"--help", nullptr, "print this", Value::None,
     [](Options &o, const std::string &) -> const char * {
       o.help = true;
       return nullptr;
     }},
    group("Writing text"),
    {"--steps", "N", "write at most N tokens (256)", Value::Required, setSteps},
    {"--stop", "ID", "also stop at this token (may be repeated)",
     Value::Required, setStop},
    {"--temperature", "X", "0 always takes the likeliest token; 1 samples (0)",
     Value::Required, setTemperature},
    {"--top-k", "N", "sample from the N likeliest tokens; 0: all (0)",
     Value::Required,
     [](Options &o, const std::string &v) -> const char * {
       return parseWhole(v, 0, INT32_MAX, o.sampling.topK) ? nullptr
                                                           : kWholeNumber;
     }},
    {"--top-p", "X", "sample from the likeliest that sum up to X (1)",
     Value::Required, setTopP},
    {"--seed", "N", "the same seed samples the same text (by the clock)",
     Value::Required, setSeed},
    {"--output", "text|ids", "print text, or ids with commas between (text)",
     Value::Required, setOutput},
    group("Routed models, which skip layers"),
    {"--threshold", "X", "run a layer where its probability is at least X",
     Value::Required, setThreshold},
    {"--ratio", "R",
     "run about this share of the layers (after qtale calibrate)",
     Value::Required, setRatio},
    {"--budget", "N", "run at most N of them for a token", Value::Required,
     setBudget},
    {"--stats", "FILE.json", "what ran: token by token, or a table to stderr",
     Value::Optional, setStats},
    group("Everything else"),
    {"--output-dir", "DIR", "with --input: write each output as DIR/NAME.npy",
     Value::Required,
     [](Options &o, const std::string &v) -> const char * {
       o.outputDir = v;
       return v.empty() ? "a folder" : nullptr;
     }},
    {"--json", nullptr, "with --info or --bench: print JSON", Value::None,
     [](Options &o, const std::string &) -> const char * {
       o.json = true;
       return nullptr;
     }},
    {"--profile", "FILE.json",
     "what each operation takes, on stderr; FILE: trace for Perfetto",
     Value::Optional, setProfile},
    {"--threads", "N",
     "threads to use (the cores; one, if the model is very small)",
     Value::Required,
     [](Options &o, const std::string &v) -> const char * {
       return parseWhole(v, 1, 1 << 16, o.threads) ? nullptr
                                                   : "a number from 1";
     }},
    {"--weights", "FILE", "the weights, where they are not beside the model",
     Value::Required,
     [](Options &o, const std::string &v) -> const char * {
       o.weights = v;
       return v.empty() ? "a file" : nullptr;
     }},
};

std::string qtale::run::helpText(bool takesArtifact) {
  std::string command = programName();
  if (takesArtifact)
    command += " ARTIFACT";
  std::string text =
      "Runs a model that qtale-compile has compiled.\n\nusage: " + command +
      " [options]\n";
  for (const Option &option : kOptions) {
    if (!option.name) {
      text += std::string("\n") + option.help + ":\n";
      continue;
    }
    std::string left = std::string("  ") + option.name;
    if (option.kind == Value::Required)
      left += std::string(" ") + option.value;
    else if (option.kind == Value::Optional)
      left += std::string("[=") + option.value + "]";
    left.resize(left.size() < 26 ? 26 : left.size() + 1, ' ');
    text += left + option.help + "\n";
  }
  std::string example = programName();
  if (takesArtifact)
    example += " model.so";
  return text + "\nExamples:\n  " + example +
         " --prompt \"Once upon a time\"\n  " + example +
         " --prompt \"\" --temperature 0.8 --top-p 0.9 --seed 7\n  " + example +
         " --input x=x.npy --output-dir results\n  " + example +
         " --info\n\n"
         "The text goes to standard output, without the prompt; speed and "
         "messages go to\nstandard error. An empty prompt lets the model begin "
         "by itself.\nIt takes plain prompts and ids; 'qtale generate --chat' "
         "renders the chat template\nof a model.\nExit status: 0 done; 1 the "
         "model, an input or a file was "
         "at fault; 2 wrong usage.\n";
}

static const Option *findOption(const std::string &name) {
  for (const Option &option : kOptions)
    if (option.name && name == option.name)
      return &option;
  return nullptr;
}

/// What must not stand together, or is missing.
static int checkTogether(const Options &options, bool takesArtifact) {
  if (takesArtifact && options.artifact.empty())
    return misuse("give the model to run: %s ARTIFACT …", programName());
  int asked = options.prompt.has_value() + options.ids.has_value() +
              !options.inputs.empty() + options.info + options.bench;
  if (asked > 1)
    return misuse("give only one of --prompt, --ids, --input, --info and "
                  "--bench");
  if (!asked && !options.verify)
    return misuse("say what to do: --prompt TEXT, --ids, --input, --info, "
                  "--bench or --verify");
  if (!options.outputDir.empty() && options.inputs.empty())
    return misuse("--output-dir goes with --input");
  if (options.threshold && options.ratio)
    return misuse("--threshold and --ratio set the same; give one of them");
  bool writes = options.prompt || options.ids;
  if (options.stats && !writes)
    return misuse("--stats goes with --prompt or --ids");
  if (options.routing && !writes && !options.bench)
    return misuse("%s goes with --prompt, --ids or --bench", options.routing);
  if (options.profile && !writes && options.inputs.empty())
    return misuse("--profile goes with --prompt, --ids or --input");
  if (options.json && !options.info && !options.bench)
    return misuse("--json goes with --info or --bench");
  return kDone;
}

int qtale::run::parseOptions(int argc, char **argv, bool takesArtifact,
                             Options &options) {
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word.compare(0, 1, "-") != 0 || word == "-") {
      if (!takesArtifact || !options.artifact.empty())
        return misuse("'%s' is one word too many; options begin with --",
                      word.c_str());
      options.artifact = word;
      continue;
    }
    size_t equal = word.find('=');
    std::string name = word == "-h" ? "--help" : word.substr(0, equal);
    const Option *option = findOption(name);
    if (name == "--chat")
      return misuse("--chat: this program takes ids or plain prompts; 'qtale "
                    "generate --chat', of the Python package, renders a "
                    "model's chat template");
    if (!option)
      return misuse("there is no option '%s'", name.c_str());
    std::string value;
    if (equal != std::string::npos) {
      if (option->kind == Value::None)
        return misuse("%s takes no value", name.c_str());
      value = word.substr(equal + 1);
      if (option->kind == Value::Optional && value.empty())
        return misuse("%s= has no value; leave the = out, or give a %s",
                      name.c_str(), option->value);
    } else if (option->kind == Value::Required) {
      if (i + 1 == argc)
        return misuse("%s needs a value: %s", name.c_str(), option->value);
      value = argv[++i];
    }
    if (const char *wanted = option->set(options, value))
      return misuse("%s must be %s, but is '%s'", name.c_str(), wanted,
                    value.c_str());
  }
  return options.help ? kDone : checkTogether(options, takesArtifact);
}
