//===- Operators.cpp - What the compiler takes, for users -----------------===//
//
//   ONNX's schemas ─┬─▶ revisions, element types, attributes
//   node table ─────┘   what is refused, and why            ──▶ JSON
//
// Nothing is written twice: what is said of an operator is what its nodes are
// checked against.
//
//===----------------------------------------------------------------------===//

#include "Model.h"
#include "NodeTable.h"
#include "Term.h"

#include "qtale/Import/Onnx/Import.h"

#include "mlir/IR/MLIRContext.h"
#include "onnx/defs/schema.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include <map>
#include <set>

using namespace llvm;
using namespace qtale;
using namespace qtale::onnx_import;
using onnx::AttributeProto;
using onnx::OpSchema;

namespace {

/// Revisions of an operator, oldest first.
using History = std::map<int64_t, const OpSchema *>;

class Printer {
public:
  Printer(raw_ostream &os) : json(os, /*IndentSize=*/1) {
    schemas = onnx::OpSchemaRegistry::get_all_schemas_with_history();
  }

  void print() {
    std::map<StringRef, const SmallVector<NodeBuilder, 1> *> sorted;
    for (const auto &entry : nodeTable().builders)
      sorted[entry.first()] = &entry.second;
    json.object([&] {
      json.attributeObject("opsets", [&] {
        json.attribute("oldest", oldestOpset);
        json.attribute("table", tableOpset);
        json.attribute("newest", newestOpset);
      });
      json.attributeArray("operators", [&] {
        for (auto [name, builders] : sorted)
          json.object([&, &name = name, &builders = builders] {
            json.attribute("name", name);
            printOperator(historyOf(name), *builders);
          });
      });
    });
  }

private:
  History historyOf(StringRef name) const {
    History history;
    for (const OpSchema &schema : schemas)
      if (schema.domain().empty() && schema.Name() == name &&
          schema.since_version() <= newestOpset)
        history[schema.since_version()] = &schema;
    return history;
  }

  void printOperator(const History &history,
                     const SmallVector<NodeBuilder, 1> &builders) {
    const OpSchema *newest = nullptr;
    json.attributeArray("revisions", [&] {
      for (auto it = history.begin(); it != history.end(); ++it) {
        auto next = std::next(it);
        bool isConverted = next != history.end() && next->first <= tableOpset;
        // Revisions that no opset has that is read.
        if (isConverted && next->first <= oldestOpset)
          continue;
        bool isKnown = llvm::any_of(builders, [&](const NodeBuilder &builder) {
          return builder.knows(it->first);
        });
        if (isKnown)
          newest = it->second;
        json.object([&] {
          json.attribute("since", it->first);
          json.attribute("form", !isKnown      ? "unknown"
                                 : isConverted ? "converted"
                                               : "built");
        });
      }
    });
    if (!newest)
      return;
    printTypes(*newest, builders);
    printAttributes(*newest);
    json.attributeArray("refused", [&] {
      for (const NodeBuilder &builder : builders) {
        for (const TypeRefusal &refusal : builder.typeRefusals)
          printRefusal(refusal.parameter + " of " + join(refusal.types, ", "),
                       refusal.why);
        for (const Refusal &refusal : builder.refusals)
          printRefusal(refusal.what, refusal.why);
      }
    });
  }

  void printRefusal(const Twine &what, StringRef why) {
    json.object([&] {
      json.attribute("what", what.str());
      json.attribute("why", why);
    });
  }

  /// Of each type parameter, those that an artifact has, in ONNX's order.
  void printTypes(const OpSchema &schema,
                  const SmallVector<NodeBuilder, 1> &builders) {
    json.attributeObject("types", [&] {
      for (const auto &constraint : schema.typeConstraintParams())
        json.attributeArray(constraint.type_param_str, [&] {
          std::set<std::string> allowed(constraint.allowed_type_strs.begin(),
                                        constraint.allowed_type_strs.end());
          for (int type = 1; type < onnx::TensorProto::DataType_ARRAYSIZE;
               ++type) {
            std::string name = typeName(type);
            if (allowed.count("tensor(" + name + ")") &&
                elementType(&context, type) &&
                !isRefused(builders, constraint.type_param_str, name))
              json.value(name);
          }
        });
    });
  }

  static bool isRefused(const SmallVector<NodeBuilder, 1> &builders,
                        StringRef parameter, StringRef type) {
    return llvm::any_of(builders, [&](const NodeBuilder &builder) {
      return llvm::any_of(builder.typeRefusals,
                          [&](const TypeRefusal &refusal) {
                            return refusal.parameter == parameter &&
                                   llvm::is_contained(refusal.types, type);
                          });
    });
  }

  void printAttributes(const OpSchema &schema) {
    json.attributeArray("attributes", [&] {
      std::map<std::string, OpSchema::Attribute> sorted(
          schema.attributes().begin(), schema.attributes().end());
      for (const auto &[name, attribute] : sorted)
        json.object([&, &name = name, &attribute = attribute] {
          json.attribute("name", name);
          json.attribute("type", StringRef(AttributeProto::AttributeType_Name(
                                               attribute.type))
                                     .lower());
          json.attribute("required", attribute.required);
          printDefault(attribute.default_value);
        });
    });
  }

  void printDefault(const AttributeProto &value) {
    switch (value.type()) {
    case AttributeProto::INT:
      return json.attribute("default", value.i());
    case AttributeProto::FLOAT:
      return json.attribute("default", value.f());
    case AttributeProto::STRING:
      return json.attribute("default", value.s());
    case AttributeProto::INTS:
      return json.attributeArray("default", [&] {
        for (int64_t element : value.ints())
          json.value(element);
      });
    default: // there is none
      return;
    }
  }

  json::OStream json;
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  std::vector<OpSchema> schemas;
};

} // namespace

void qtale::printOperators(raw_ostream &os) {
  Printer(os).print();
  os << "\n";
}
