#include "generation/stopping_criteria.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <typeinfo>
#include <utility>

#include "ATen/core/Tensor.h"
#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "c10/util/Type.h"

namespace pretrained {

bool MaxLengthCriteria::ShouldStop(const at::Tensor& input_ids,
                                   const at::Tensor& scores) {
  const int64_t length = input_ids.size(-1);
  if (length >= max_length_) return true;
  if (max_position_embeddings_.has_value() &&
      length >= *max_position_embeddings_) {
    ABSL_LOG(WARNING) << "the model was made for " << *max_position_embeddings_
                      << " tokens ('max_position_embeddings'), and a sequence "
                         "goes on beyond; what follows may be an error, slow, "
                         "or of no use. Set 'max_length' to stop there";
    max_position_embeddings_.reset();
  }
  return false;
}

bool MaxNewTokensCriteria::ShouldStop(const at::Tensor& input_ids,
                                      const at::Tensor& scores) {
  return input_ids.size(-1) >= max_length_;
}

bool MaxTimeCriteria::ShouldStop(const at::Tensor& input_ids,
                                 const at::Tensor& scores) {
  return absl::Now() - start_ > max_time_;
}

absl::Status StoppingCriteriaList::Merge(const StoppingCriteriaList& custom) {
  for (const std::shared_ptr<StoppingCriteria>& own : criteria_) {
    for (const std::shared_ptr<StoppingCriteria>& given : custom.criteria_) {
      const StoppingCriteria& criteria = *given;
      if (typeid(*own) != typeid(criteria)) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "a ", c10::demangle(typeid(criteria).name()),
          " is given, but the config asks for one too; set the config's "
          "attributes as you want them, or unset them"));
    }
  }
  criteria_.insert(criteria_.end(), custom.criteria_.begin(),
                   custom.criteria_.end());
  return absl::OkStatus();
}

bool StoppingCriteriaList::ShouldStop(const at::Tensor& input_ids,
                                      const at::Tensor& scores) {
  for (const std::shared_ptr<StoppingCriteria>& criteria : criteria_) {
    if (criteria->ShouldStop(input_ids, scores)) return true;
  }
  return false;
}

std::optional<int64_t> StoppingCriteriaList::max_length() const {
  for (const std::shared_ptr<StoppingCriteria>& criteria : criteria_) {
    if (criteria->max_length().has_value()) return criteria->max_length();
  }
  return std::nullopt;
}

StoppingCriteriaList WithMaxLength(StoppingCriteriaList criteria,
                                   int64_t max_length) {
  const std::optional<int64_t> own = criteria.max_length();
  if (!own.has_value()) {
    criteria.Add(MaxLengthCriteria(max_length));
  } else if (*own != max_length) {
    ABSL_LOG(WARNING) << "the stopping criteria have a length of " << *own
                      << ", and 'max_length' is " << max_length
                      << "; the criteria's counts";
  }
  return criteria;
}

}  // namespace pretrained
