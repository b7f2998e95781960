#include "checkpoint/weights_file.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint_format.h"
#include "checkpoint/error_text.h"
#include "checkpoint/variant_name.h"
#include "checkpoint/weights_names.h"

namespace pretrained {
namespace {

using checkpoint_internal::FormatOf;
using checkpoint_internal::IsVariantOf;
using checkpoint_internal::KnownWeightsNames;
using checkpoint_internal::QuotedName;
using checkpoint_internal::WeightsName;

constexpr size_t kMaxNamesShown = 20;
constexpr absl::string_view kSafetensors = "model.safetensors";

// A file to look for.
struct Candidate {
  std::string name;
  const WeightsName* known;
  const CheckpointFormat* format;  // Null: this build does not read it.
  bool is_index;
};

bool IsOneOf(absl::Span<const std::string> names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// PyTorch's files alone come in variants.
std::string FileName(const WeightsName& known, bool is_index,
                     absl::string_view variant) {
  const absl::string_view name =
      is_index ? known.index_name : known.weights_name;
  const bool has_variants = known.framework == CheckpointFramework::kPytorch;
  return AddVariant(name, has_variants ? variant : "");
}

bool IsAskedFor(const WeightsName& known,
                const OpenCheckpointOptions& options) {
  switch (known.framework) {
    case CheckpointFramework::kTensorflow:
      return options.from_tf;
    case CheckpointFramework::kFlax:
      return options.from_flax;
    case CheckpointFramework::kPytorch:
      break;
  }
  const bool is_safetensors = known.weights_name == kSafetensors;
  return options.use_safetensors.value_or(is_safetensors) == is_safetensors;
}

// In the order in which they are looked for.
std::vector<Candidate> Candidates(
    absl::Span<const CheckpointFormat* const> formats,
    const OpenCheckpointOptions& options) {
  std::vector<Candidate> candidates;
  for (const WeightsName& known : KnownWeightsNames()) {
    if (!IsAskedFor(known, options)) continue;
    for (const bool is_index : {false, true}) {
      if (is_index && known.index_name.empty()) continue;
      candidates.push_back({FileName(known, is_index, options.variant), &known,
                            FormatOf(known, formats), is_index});
    }
  }
  return candidates;
}

// "model.safetensors, pytorch_model.bin": what this build reads.
std::string ReadableNames(absl::Span<const CheckpointFormat* const> formats) {
  return absl::StrJoin(formats, " or ",
                       [](std::string* out, const CheckpointFormat* format) {
                         absl::StrAppend(out, format->weights_name);
                       });
}

// What is in a folder that lacks the files looked for, in one line.
std::string FolderText(absl::Span<const std::string> names) {
  if (names.empty()) return "the folder is empty";
  const size_t shown = std::min(names.size(), kMaxNamesShown);
  std::string text =
      absl::StrCat("the folder has ",
                   absl::StrJoin(names.begin(), names.begin() + shown, ", ",
                                 [](std::string* out, const std::string& name) {
                                   absl::StrAppend(out, QuotedName(name));
                                 }));
  if (shown < names.size()) {
    absl::StrAppend(&text, " and ", names.size() - shown, " more");
  }
  return text;
}

// What makes `name`, a file in the folder, variant `variant` of `stem`.
std::string VariantAdvice(absl::string_view name, absl::string_view stem) {
  if (name == stem) return "ask for no variant";
  const size_t start = stem.rfind('.') + 1;  // Of the extension.
  const size_t length = name.size() - stem.size() - 1;
  return absl::StrCat("ask for variant ",
                      QuotedName(name.substr(start, length)));
}

// What to do about a folder without the files looked for: ask for those that
// are there, if any are weights.
std::string Advice(absl::Span<const std::string> names,
                   const OpenCheckpointOptions& options) {
  for (const WeightsName& known : KnownWeightsNames()) {
    if (known.framework != CheckpointFramework::kPytorch) continue;
    for (const bool is_index : {false, true}) {
      const std::string wanted = FileName(known, is_index, options.variant);
      if (IsOneOf(names, wanted)) {
        return absl::StrCat("leave out use_safetensors to take ",
                            QuotedName(wanted));
      }
    }
  }
  for (const WeightsName& known : KnownWeightsNames()) {
    if (!IsAskedFor(known, options) ||
        known.framework != CheckpointFramework::kPytorch) {
      continue;
    }
    for (const absl::string_view stem :
         {known.weights_name, known.index_name}) {
      for (const std::string& name : names) {
        if (IsVariantOf(name, stem)) return VariantAdvice(name, stem);
      }
    }
  }
  return "check the path, or download the weights";
}

// That the file to take is one that no format reads.
absl::Status Unreadable(absl::string_view folder, absl::string_view name,
                        const WeightsName& known,
                        absl::Span<const CheckpointFormat* const> formats) {
  return absl::UnimplementedError(absl::StrCat(
      folder, ": ", QuotedName(name), " is ",
      IsVariantOf(name, known.index_name) ? "the index of a sharded " : "",
      IsVariantOf(name, known.index_name) ? known.weights_name : known.what,
      ", but this version reads ", ReadableNames(formats),
      "; save it again with PyTorch's save_pretrained(.., "
      "safe_serialization=True)"));
}

// That `folder` has none of `candidates`.
absl::Status NoWeights(absl::string_view folder,
                       absl::Span<const std::string> names,
                       absl::Span<const CheckpointFormat* const> formats,
                       const std::vector<Candidate>& candidates,
                       const OpenCheckpointOptions& options) {
  const std::string looked_for = absl::StrJoin(
      candidates, ", ", [](std::string* out, const Candidate& candidate) {
        absl::StrAppend(out, candidate.name);
      });
  for (const WeightsName& known : KnownWeightsNames()) {
    if (known.framework == CheckpointFramework::kPytorch ||
        IsAskedFor(known, options)) {
      continue;
    }
    for (const absl::string_view name :
         {known.weights_name, known.index_name}) {
      if (name.empty() || !IsOneOf(names, name)) continue;
      if (FormatOf(known, formats) == nullptr) {
        return Unreadable(folder, name, known, formats);
      }
      const bool is_tf = known.framework == CheckpointFramework::kTensorflow;
      return absl::NotFoundError(absl::StrCat(
          folder, ": no weights of PyTorch: looked for ", looked_for, ", but ",
          QuotedName(name), " is of ", is_tf ? "TensorFlow" : "Flax", "; set ",
          is_tf ? "from_tf" : "from_flax", " to take it"));
    }
  }
  return absl::NotFoundError(
      absl::StrCat(folder, ": no weights: looked for ", looked_for, ", but ",
                   FolderText(names), "; ", Advice(names, options)));
}

}  // namespace

absl::StatusOr<WeightsFile> FindWeightsFile(
    absl::string_view folder, absl::Span<const std::string> names,
    absl::Span<const CheckpointFormat* const> formats,
    const OpenCheckpointOptions& options) {
  const std::vector<Candidate> candidates = Candidates(formats, options);
  for (const Candidate& candidate : candidates) {
    if (!IsOneOf(names, candidate.name)) continue;
    if (candidate.format == nullptr) {
      return Unreadable(folder, candidate.name, *candidate.known, formats);
    }
    return WeightsFile{candidate.name, candidate.format, candidate.is_index};
  }
  return NoWeights(folder, names, formats, candidates, options);
}

absl::StatusOr<WeightsFile> FindShardedWeights(
    absl::string_view folder, absl::Span<const std::string> names,
    absl::Span<const CheckpointFormat* const> formats, bool prefer_safe) {
  OpenCheckpointOptions options;
  std::vector<Candidate> indexes;
  for (Candidate& candidate : Candidates(formats, options)) {
    if (candidate.is_index) indexes.push_back(std::move(candidate));
  }
  // The order is that of safety.
  if (!prefer_safe) std::reverse(indexes.begin(), indexes.end());
  for (const Candidate& index : indexes) {
    if (!IsOneOf(names, index.name)) continue;
    if (index.format == nullptr) {
      return Unreadable(folder, index.name, *index.known, formats);
    }
    return WeightsFile{index.name, index.format, true};
  }
  return absl::NotFoundError(absl::StrCat(
      folder, ": no index of shards: looked for ",
      absl::StrJoin(indexes, " or ",
                    [](std::string* out, const Candidate& index) {
                      absl::StrAppend(out, index.name);
                    }),
      ", but ", FolderText(names),
      "; a checkpoint that is one file is opened by its folder's name"));
}

}  // namespace pretrained
