#include "tools/info_command.h"

#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_join.h"
#include "device_map/module_tree.h"
#include "modeling/model_layout.h"
#include "modeling/parameter_counts.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"
#include "tools/command.h"
#include "tools/source.h"
#include "tools/text_output.h"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

Json Document(const ModelLayout& layout) {
  const std::vector<CountedTensor> tensors = CountedTensorsOf(layout.tree);
  const auto count = [&](bool only_trainable, bool exclude_embeddings) {
    return CountParameters(tensors, {.only_trainable = only_trainable,
                                     .exclude_embeddings = exclude_embeddings});
  };
  Json document;
  document["class"] = layout.class_name;
  document["base_model_prefix"] = layout.base_model_prefix;
  document["main_input_name"] = layout.main_input_name;
  document["can_generate"] = layout.can_generate;
  document["num_parameters"] = {{"all", count(false, false)},
                                {"trainable", count(true, false)},
                                {"no_embeddings", count(false, true)},
                                {"trainable_no_embeddings", count(true, true)}};
  document["memory_footprint"] = {
      {"with_buffers", MemoryFootprintBytes(tensors, true)},
      {"without_buffers", MemoryFootprintBytes(tensors, false)}};
  document["tied_weights"] = layout.tree.tied;
  document["no_split_modules"] = layout.no_split_modules;
  document["modules"] = Json::array();
  ForEachModule(layout.tree.root, [&](const std::string& path,
                                      const ModuleNode& node) {
    document["modules"].push_back({{"name", path}, {"class", node.class_name}});
  });
  document["state_dict"] = Json::array();
  for (const StateDictEntry& entry : StateDictOf(layout.tree.root)) {
    document["state_dict"].push_back(entry.name);
  }
  return document;
}

// The tree, one line a module that has tensors of its own, repeats folded by
// nothing: what one reads to learn the names.
void PrintText(const ModelLayout& layout) {
  const std::vector<CountedTensor> tensors = CountedTensorsOf(layout.tree);
  TextTable table({"module", "class", ">parameters"});
  ForEachModule(layout.tree.root,
                [&](const std::string& path, const ModuleNode& node) {
                  int64_t own = 0;
                  for (const TensorSpec& spec : node.parameters)
                    own += spec.num_elements();
                  table.AddRow({path.empty() ? "(root)" : path, node.class_name,
                                own == 0 ? "" : HumanCount(own)});
                });
  table.Print(std::cout, TerminalWidth());
  const int64_t all = CountParameters(tensors);
  std::cout << "\n"
            << layout.class_name << ": " << HumanCount(all) << " parameters ("
            << all << "), "
            << HumanCount(
                   CountParameters(tensors, {.exclude_embeddings = true}))
            << " without embeddings; "
            << HumanBytes(MemoryFootprintBytes(tensors)) << " in float32\n"
            << "base model prefix " << layout.base_model_prefix
            << ", main input " << layout.main_input_name
            << (layout.can_generate ? ", can generate" : ", cannot generate")
            << "\n";
  for (const auto& group : layout.tree.tied) {
    std::cout << "tied: " << absl::StrJoin(group, " = ") << "\n";
  }
}

class InfoCommand : public Command {
 public:
  std::string name() const override { return "info"; }
  std::string summary() const override {
    return "Says what a model is made of, from its config alone";
  }
  std::string examples() const override {
    return "  pretrained info all-MiniLM-L6-v2\n"
           "  pretrained info all-MiniLM-L6-v2 --class=BertModel --json";
  }

  void Configure(CLI::App& app) override {
    app.add_option("SRC", source_, "Folder with a config.json")->required();
    app.add_option("--class", class_name_,
                   "Model class; the config's architectures decide without");
    app.add_flag("--json", json_, "Prints one JSON document");
  }

  absl::Status Run() override {
    absl::Status status = CheckSource(source_);
    if (!status.ok()) return status;
    absl::StatusOr<PretrainedConfig> config =
        ReadSourceConfig(source_, class_name_);
    if (!config.ok()) return config.status();
    absl::StatusOr<const LayoutClass*> layout_class =
        FindLayoutFor(*config, class_name_);
    if (!layout_class.ok()) return layout_class.status();
    absl::StatusOr<ModelLayout> layout =
        (*layout_class)->build(*config, Json::object());
    if (!layout.ok()) return layout.status();
    if (json_) {
      std::cout << JsonLine(Document(*layout));
    } else {
      PrintText(*layout);
    }
    return absl::OkStatus();
  }

 private:
  std::string source_;
  std::string class_name_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeInfoCommand() {
  return std::make_unique<InfoCommand>();
}

}  // namespace pretrained
