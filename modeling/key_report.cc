#include "modeling/key_report.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "modeling/key_matching.h"
#include "modeling/loading_info.h"
#include "modeling/model_layout.h"

namespace pretrained {
namespace {

std::string ShowShape(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// A few of many names, for messages that stay readable.
std::string Examples(absl::Span<const std::string> names) {
  constexpr size_t kShown = 3;
  std::vector<std::string> shown;
  for (const std::string& name : names.subspan(0, kShown)) {
    shown.push_back(absl::StrCat("'", name, "'"));
  }
  if (names.size() > kShown) shown.emplace_back("..");
  return absl::StrJoin(shown, ", ");
}

std::vector<std::string> NamesOf(const Checkpoint& checkpoint) {
  std::vector<std::string> names;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    names.push_back(tensor.name);
  }
  return names;
}

absl::Status CheckMismatches(const std::string& file, const ModelLayout& layout,
                             const KeyMatches& matches) {
  if (matches.mismatched.empty()) return absl::OkStatus();
  std::string list;
  for (const MismatchedKey& key : matches.mismatched) {
    absl::StrAppend(
        &list, "\n  tensor '", key.name, "': ", ShowShape(key.checkpoint_shape),
        " in the checkpoint, ", ShowShape(key.model_shape), " in the model");
  }
  return absl::InvalidArgumentError(absl::StrCat(
      file, ": ", matches.mismatched.size(),
      " tensors have another shape than ", layout.class_name,
      " with this config:", list,
      "\n  correct the config, or set ignore_mismatched_sizes to draw these "
      "anew"));
}

}  // namespace

absl::Status CheckKeyMatches(const ModelLayout& layout,
                             const Checkpoint& checkpoint,
                             const KeyMatches& matches,
                             bool ignore_mismatched_sizes) {
  const std::string file = checkpoint.files()[0].path;
  if (matches.matched.empty() && matches.mismatched.empty() &&
      !checkpoint.tensors().empty() && !matches.missing.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        file, ": none of its ", checkpoint.tensors().size(),
        " tensors belongs to ", layout.class_name, ", which expects ",
        Examples(matches.missing), " (prefix '", layout.base_model_prefix,
        ".' allowed); it holds ", Examples(NamesOf(checkpoint)),
        "; check that config and weights are of one model"));
  }
  if (!matches.head_without_prefix.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        file, ": holds '", matches.head_without_prefix, "' of ",
        layout.class_name, ", so that all else should have the prefix '",
        layout.base_model_prefix,
        ".', but nothing has; the checkpoint was put together wrongly: save "
        "the whole model again"));
  }
  if (!matches.absent_from_shards.empty()) {
    return absl::DataLossError(absl::StrCat(
        file, ": the checkpoint's index names ",
        Examples(matches.absent_from_shards),
        ", which no shard holds; the files are not of one save, or a shard is "
        "damaged: download the checkpoint again"));
  }
  if (ignore_mismatched_sizes) return absl::OkStatus();
  return CheckMismatches(file, layout, matches);
}

void WarnAboutKeys(const ModelLayout& layout, const LoadingInfo& info) {
  if (!info.unexpected_keys.empty()) {
    ABSL_LOG(WARNING)
        << "weights of the checkpoint that " << layout.class_name
        << " does not use: " << absl::StrJoin(info.unexpected_keys, ", ")
        << "; to be expected when the checkpoint is of a model with "
           "another head, or for another task";
  }
  std::vector<std::string> drawn = info.missing_keys;
  for (const MismatchedKey& key : info.mismatched_keys) {
    drawn.push_back(absl::StrCat(key.name, " ", ShowShape(key.checkpoint_shape),
                                 " instead of ", ShowShape(key.model_shape)));
  }
  if (!drawn.empty()) {
    ABSL_LOG(WARNING)
        << "weights of " << layout.class_name
        << " that are not in the checkpoint, or of another shape, and "
           "were drawn at random: "
        << absl::StrJoin(drawn, ", ")
        << "; train the model before using what depends on them";
  }
}

}  // namespace pretrained
