//===- ProfileTable.cpp - A profile as text -------------------------------===//
//
//   decode: 31 steps of 1 token, 25.813 ms each
//   operation     calls   ms/step      %   MB/step    GB/s  of read   GMAC/s
//   matmul          113    25.012   96.9   695.272    27.8    76.1%     49.4
//   …
//   outside           -     0.101    0.4         -       -        -        -
//   layer             …
//
// "outside" is what passes before the first and after the last operation of a
// call: tables and logits, and threads that wake up.
//
//===----------------------------------------------------------------------===//

#include "Profiler.h"
#include <algorithm>
#include <map>

using namespace qtale::run;

namespace {

/// A line: operations that are added up.
struct Row {
  std::string name;
  double calls = 0, nanoseconds = 0, bytes = 0, macs = 0;

  void add(const qtale_operation &operation) {
    calls += double(operation.calls);
    nanoseconds += double(operation.nanoseconds);
    bytes += double(operation.bytes);
    macs += double(operation.macs);
  }
};

class Table {
public:
  Table(const Section &section, double readBandwidth)
      : section(section), readBandwidth(readBandwidth) {}

  std::string text() const;

private:
  std::string heading(const char *what) const;
  std::string line(const Row &row) const;
  Row outside() const;

  const Section &section;
  const double readBandwidth;
  /// Small models are shown in µs and KB.
  bool isSmall() const { return section.seconds < 1e-3 * section.steps; }
};

} // namespace

/// A number in a column; a dash where there is none.
static std::string cell(int width, int decimals, double value,
                        const char *unit = "") {
  char number[48], text[64];
  std::snprintf(number, sizeof(number), "%.*f%s", decimals, value, unit);
  std::snprintf(text, sizeof(text), " %*s", width - 1,
                value > 0 ? number : "-");
  return text;
}

std::string Table::heading(const char *what) const {
  char text[160];
  // µ is one letter, but two bytes.
  std::snprintf(text, sizeof(text), "%-16s%8s%*s%7s%11s%8s%9s%9s\n", what,
                "calls", isSmall() ? 12 : 11, isSmall() ? "µs/step" : "ms/step",
                "%", isSmall() ? "KB/step" : "MB/step", "GB/s", "of read",
                "GMAC/s");
  return text;
}

std::string Table::line(const Row &row) const {
  double perStep = (isSmall() ? 1e3 : 1) / double(section.steps);
  // Bytes per nanosecond are GB per second.
  double speed = row.nanoseconds > 0 ? row.bytes / row.nanoseconds : 0;
  double macs = row.nanoseconds > 0 ? row.macs / row.nanoseconds : 0;
  double share = readBandwidth > 0 ? speed * 1e9 / readBandwidth : 0;
  std::string name = row.name;
  name.resize(std::max<size_t>(16, name.size() + 1), ' ');
  return name + cell(8, 0, row.calls) +
         cell(11, 3, row.nanoseconds / 1e6 * perStep) +
         cell(7, 1, row.nanoseconds / 1e7 / section.seconds) +
         cell(11, 3, row.bytes / 1e6 * perStep) + cell(8, 1, speed) +
         cell(9, 1, share * 100, "%") + cell(9, 1, macs) + "\n";
}

Row Table::outside() const {
  Row row{"outside"};
  row.nanoseconds = section.seconds * 1e9;
  for (const qtale_operation &operation : section.operations)
    row.nanoseconds -= double(operation.nanoseconds);
  return row;
}

std::string Table::text() const {
  std::map<std::string, Row> byOperation;
  std::map<int64_t, Row> byLayer;
  Row whole{"whole"};
  for (const qtale_operation &operation : section.operations) {
    if (!operation.calls)
      continue;
    byOperation[operation.operation].add(operation);
    byLayer[operation.layer].add(operation);
    whole.add(operation);
  }
  whole.nanoseconds = section.seconds * 1e9;
  std::vector<Row> rows;
  for (auto &[name, row] : byOperation) {
    row.name = name;
    rows.push_back(row);
  }
  std::sort(rows.begin(), rows.end(), [](const Row &a, const Row &b) {
    return a.nanoseconds > b.nanoseconds;
  });

  char title[160];
  double tokens = double(section.tokens) / double(section.steps);
  std::snprintf(title, sizeof(title), "%s: %lld step%s", section.title,
                static_cast<long long>(section.steps),
                section.steps == 1 ? "" : "s");
  std::string text = title;
  if (section.tokens) {
    std::snprintf(title, sizeof(title), " of %.4g token%s", tokens,
                  tokens == 1 ? "" : "s");
    text += title;
  }
  std::snprintf(title, sizeof(title), ", %.3f %s each\n",
                section.seconds * (isSmall() ? 1e6 : 1e3) /
                    double(section.steps),
                isSmall() ? "µs" : "ms");
  text += title + heading("operation");
  for (const Row &row : rows)
    text += line(row);
  text += line(outside()) + line(whole);
  if (byLayer.size() < 2)
    return text; // no layers are known
  text += heading("layer");
  for (auto &[layer, row] : byLayer) {
    row.name = layer < 0 ? "none" : std::to_string(layer);
    text += line(row);
  }
  return text;
}

std::string qtale::run::profileTable(const Section &section,
                                     double readBandwidth) {
  return Table(section, readBandwidth).text();
}
