#include "modeling/better_transformer.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

std::vector<FusableAttention*> AttentionsOf(Module& model) {
  std::vector<FusableAttention*> attentions;
  model.ForEachModule([&](const std::string&, Module& module) {
    if (auto* attention = dynamic_cast<FusableAttention*>(&module)) {
      attentions.push_back(attention);
    }
  });
  return attentions;
}

}  // namespace

bool IsBetterTransformer(Module& model) {
  for (const FusableAttention* attention : AttentionsOf(model)) {
    if (attention->is_always_fused()) return true;
  }
  return false;
}

absl::Status ToBetterTransformer(Module& model) {
  if (IsBetterTransformer(model)) {
    return absl::FailedPreconditionError(absl::StrCat(
        model.class_name(), " is converted to BetterTransformer already"));
  }
  const std::vector<FusableAttention*> attentions = AttentionsOf(model);
  if (attentions.empty()) {
    return absl::UnimplementedError(
        absl::StrCat(model.class_name(),
                     " has no attention that BetterTransformer converts"));
  }
  for (FusableAttention* attention : attentions) {
    attention->set_always_fused(true);
  }
  return absl::OkStatus();
}

absl::Status ReverseBetterTransformer(Module& model) {
  if (!IsBetterTransformer(model)) {
    return absl::FailedPreconditionError(
        absl::StrCat(model.class_name(),
                     " is not converted to BetterTransformer, so that there is "
                     "nothing to reverse"));
  }
  for (FusableAttention* attention : AttentionsOf(model)) {
    attention->set_always_fused(false);
  }
  return absl::OkStatus();
}

}  // namespace pretrained
