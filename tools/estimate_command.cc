#include "tools/estimate_command.h"

#include <cmath>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "device_map/memory_estimator.h"
#include "device_map/sized_tree.h"
#include "nlohmann/json.hpp"
#include "tools/command.h"
#include "tools/source_tree.h"
#include "tools/text_output.h"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

// A number of bytes; whole ones without a point.
Json BytesJson(double bytes) {
  if (bytes == std::floor(bytes)) return static_cast<int64_t>(bytes);
  return bytes;
}

std::string Human(double bytes) {
  return HumanBytes(static_cast<int64_t>(std::ceil(bytes)));
}

class EstimateCommand : public Command {
 public:
  std::string name() const override { return "estimate"; }
  std::string summary() const override {
    return "Says how much memory a model takes, by dtype, from its config";
  }
  std::string examples() const override {
    return "  pretrained estimate llama-70b\n"
           "  pretrained estimate llama-7b --sequence_length=4096 "
           "--batch_size=8\n"
           "  pretrained estimate tree.json --no_split=BloomBlock --depth=2 "
           "--json";
  }

  void Configure(CLI::App& app) override {
    app.add_option("SRC", source_,
                   "Folder with a config.json, or that file; a weights file; "
                   "or a module tree (JSON)")
        ->required();
    app.add_option("--dtypes", dtypes_,
                   "Dtypes to estimate for, A,B; float32, float16, bfloat16, "
                   "float8, int8 and int4 without")
        ->check([](const std::string& text) {
          for (const absl::string_view dtype : absl::StrSplit(text, ',')) {
            const absl::StatusOr<int> bits = ElementBits(dtype);
            if (!bits.ok()) return std::string(bits.status().message());
          }
          return std::string();
        });
    app.add_option("--sequence_length", length_,
                   "Estimates activations and key/value cache for sequences "
                   "of so many tokens too")
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
    app.add_option("--batch_size", batch_, "Sequences at a time")
        ->capture_default_str()
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
    app.add_option("--depth", depth_,
                   "Lists modules down to this depth, with the bytes of each "
                   "as it is stored");
    no_split_option_ = app.add_option(
        "--no_split", no_split_,
        "Classes of modules that stay whole, A,B; those that the model class "
        "names without");
    app.add_option("--class", class_name_,
                   "Model class; the config's architectures decide without");
    app.add_flag("--json", json_, "Prints one JSON document");
  }

  absl::Status Run() override {
    absl::StatusOr<SourceTree> source = ReadSourceTree(source_, class_name_);
    if (!source.ok()) return source.status();
    if (source->names_only) {
      return absl::FailedPreconditionError(absl::StrCat(
          source_,
          ": the shards that it names are not here, so that sizes are not "
          "known; get them, or give a config.json"));
    }
    if (length_ > 0 && !source->shape.has_value()) {
      return absl::FailedPreconditionError(absl::StrCat(
          source_,
          ": activations follow from a config.json, and it has none that tells "
          "hidden_size, num_hidden_layers and num_attention_heads; leave "
          "--sequence_length out"));
    }
    if (no_split_option_->count() > 0) {
      source->no_split_classes =
          absl::StrSplit(no_split_, ',', absl::SkipWhitespace());
    }
    std::vector<absl::string_view> dtypes(std::begin(kEstimatedDtypes),
                                          std::end(kEstimatedDtypes));
    if (!dtypes_.empty()) dtypes = absl::StrSplit(dtypes_, ',');
    absl::StatusOr<std::vector<DtypeEstimate>> estimates =
        EstimateMemory(source->tree, source->no_split_classes, dtypes);
    if (!estimates.ok()) return estimates.status();
    absl::StatusOr<SizedTree> stored = SizedTree::Create(source->tree, {});
    if (!stored.ok()) return stored.status();
    if (json_) {
      std::cout << JsonLine(Document(*source, *estimates, *stored));
    } else {
      PrintText(*source, *estimates, *stored);
    }
    return absl::OkStatus();
  }

 private:
  ActivationEstimate Activations(const SourceTree& source,
                                 const DtypeEstimate& estimate) const {
    return EstimateActivations(*source.shape, batch_, length_,
                               *ElementBits(estimate.dtype));
  }

  // Indices of the modules that --depth lists.
  std::vector<int> Listed(const SizedTree& tree) const {
    std::vector<int> listed;
    std::vector<int> depths(tree.items().size(), 0);
    for (size_t i = 1; i < tree.items().size(); ++i) {
      const TreeItem& item = tree.item(i);
      depths[i] = depths[item.parent] + 1;
      if (item.is_module() && depths[i] <= depth_) listed.push_back(i);
    }
    return listed;
  }

  Json Document(const SourceTree& source,
                const std::vector<DtypeEstimate>& estimates,
                const SizedTree& stored) const {
    Json document;
    for (const DtypeEstimate& estimate : estimates) {
      Json& json = document["dtypes"][estimate.dtype];
      json["total"] = BytesJson(estimate.total);
      json["largest_layer"] = BytesJson(estimate.largest_layer);
      json["training"] = BytesJson(estimate.training());
      json["gradients"] = BytesJson(estimate.gradients);
      json["optimizer_states"] = BytesJson(estimate.optimizer_states);
      if (length_ == 0) continue;
      const ActivationEstimate activations = Activations(source, estimate);
      json["key_value_cache"] = BytesJson(activations.key_value_cache);
      json["activations"] = {{"forward", BytesJson(activations.forward)},
                             {"training", BytesJson(activations.training)}};
    }
    document["largest_layers"] = estimates[0].largest_layers;
    if (depth_ == 0) return document;
    document["modules"] = Json::array();
    for (const int i : Listed(stored)) {
      document["modules"].push_back(
          {{"name", stored.item(i).name},
           {"class", stored.item(i).class_name},
           {"bytes", BytesJson(stored.item(i).bytes)}});
    }
    return document;
  }

  void PrintText(const SourceTree& source,
                 const std::vector<DtypeEstimate>& estimates,
                 const SizedTree& stored) const {
    std::vector<std::string> header = {"dtype", ">weights", ">largest layer",
                                       ">training (Adam)"};
    if (length_ > 0) {
      for (const char* column :
           {">key/value cache", ">forward", ">kept for backward"}) {
        header.push_back(column);
      }
    }
    TextTable table(header);
    for (const DtypeEstimate& estimate : estimates) {
      std::vector<std::string> row = {estimate.dtype, Human(estimate.total),
                                      Human(estimate.largest_layer),
                                      Human(estimate.training())};
      if (length_ > 0) {
        const ActivationEstimate activations = Activations(source, estimate);
        row.push_back(Human(activations.key_value_cache));
        row.push_back(Human(activations.forward));
        row.push_back(Human(activations.training));
      }
      table.AddRow(row);
    }
    table.Print(std::cout, TerminalWidth());
    const std::vector<std::string>& largest = estimates[0].largest_layers;
    if (!largest.empty()) {
      std::cout << "\nlargest layer: " << Printable(largest[0]);
      if (largest.size() > 1) {
        std::cout << " and " << largest.size() - 1 << " of its size";
      }
      std::cout << "\n";
    }
    if (length_ > 0) {
      std::cout << "activations of " << batch_ << " x " << length_
                << " tokens, beside the weights, without fused attention\n";
    }
    if (depth_ == 0) return;
    std::cout << "\n";
    TextTable modules({"module", "class", ">bytes"});
    for (const int i : Listed(stored)) {
      modules.AddRow({Printable(stored.item(i).name),
                      Printable(stored.item(i).class_name),
                      Human(stored.item(i).bytes)});
    }
    modules.Print(std::cout, TerminalWidth());
  }

  std::string source_;
  std::string dtypes_;
  int64_t length_ = 0;
  int64_t batch_ = 1;
  int depth_ = 0;
  std::string no_split_;
  CLI::Option* no_split_option_ = nullptr;
  std::string class_name_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeEstimateCommand() {
  return std::make_unique<EstimateCommand>();
}

}  // namespace pretrained
