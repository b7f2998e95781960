#ifndef PRETRAINED_GENERATION_STOPPING_CRITERIA_H_
#define PRETRAINED_GENERATION_STOPPING_CRITERIA_H_

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace pretrained {

// Whether generating is to end, whatever the rows hold.
//
//   input_ids  [rows, tokens] int64, the new token included
//   scores     of the last step, or undefined; those here do not look at it
//
// Matches: transformers 4.34 generation/stopping_criteria.py.
class StoppingCriteria {
 public:
  virtual ~StoppingCriteria() = default;

  virtual bool ShouldStop(const at::Tensor& input_ids,
                          const at::Tensor& scores) = 0;

  // How many tokens a row can come to, if that is what it stops at.
  virtual std::optional<int64_t> max_length() const { return std::nullopt; }

 protected:
  StoppingCriteria() = default;
  StoppingCriteria(const StoppingCriteria&) = default;
  StoppingCriteria(StoppingCriteria&&) = default;
  StoppingCriteria& operator=(const StoppingCriteria&) = default;
  StoppingCriteria& operator=(StoppingCriteria&&) = default;
};

// Stops at `max_length` tokens, the prompt's included. Logs a warning, once,
// when a row has `max_position_embeddings` tokens and goes on.
class MaxLengthCriteria : public StoppingCriteria {
 public:
  explicit MaxLengthCriteria(
      int64_t max_length,
      std::optional<int64_t> max_position_embeddings = std::nullopt)
      : max_length_(max_length),
        max_position_embeddings_(max_position_embeddings) {}

  bool ShouldStop(const at::Tensor& input_ids,
                  const at::Tensor& scores) override;
  std::optional<int64_t> max_length() const override { return max_length_; }

 private:
  int64_t max_length_;
  std::optional<int64_t> max_position_embeddings_;
};

// Stops at `max_new_tokens` after the first `start_length`.
class MaxNewTokensCriteria : public StoppingCriteria {
 public:
  MaxNewTokensCriteria(int64_t start_length, int64_t max_new_tokens)
      : max_length_(start_length + max_new_tokens) {}

  bool ShouldStop(const at::Tensor& input_ids,
                  const at::Tensor& scores) override;
  std::optional<int64_t> max_length() const override { return max_length_; }

 private:
  int64_t max_length_;
};

// Stops when more than `max_time` has passed since `start`.
class MaxTimeCriteria : public StoppingCriteria {
 public:
  explicit MaxTimeCriteria(absl::Duration max_time,
                           absl::Time start = absl::Now())
      : max_time_(max_time), start_(start) {}

  bool ShouldStop(const at::Tensor& input_ids,
                  const at::Tensor& scores) override;

 private:
  absl::Duration max_time_;
  absl::Time start_;
};

// Stops when one of its criteria does; an empty one never does. Copies share
// their criteria.
class StoppingCriteriaList : public StoppingCriteria {
 public:
  // `criteria` is not null.
  void Add(std::shared_ptr<StoppingCriteria> criteria) {
    criteria_.push_back(std::move(criteria));
  }
  template <std::derived_from<StoppingCriteria> Criteria>
  void Add(Criteria criteria) {
    Add(std::make_shared<Criteria>(std::move(criteria)));
  }
  // Adds those of `custom`, unless one is of the class of one that is here:
  // then kInvalidArgument, and nothing is added.
  // Matches: `_merge_criteria_processor_list`.
  absl::Status Merge(const StoppingCriteriaList& custom);

  bool empty() const { return criteria_.empty(); }
  int64_t size() const { return criteria_.size(); }
  const std::vector<std::shared_ptr<StoppingCriteria>>& criteria() const {
    return criteria_;
  }

  // Asks in order, and none after the first that stops.
  bool ShouldStop(const at::Tensor& input_ids,
                  const at::Tensor& scores) override;
  // Of the first criterion that has one.
  std::optional<int64_t> max_length() const override;

 private:
  std::vector<std::shared_ptr<StoppingCriteria>> criteria_;
};

// `criteria` with a MaxLengthCriteria of `max_length` added if it has none.
// Logs a warning if it has another.
// Matches: `validate_stopping_criteria`.
StoppingCriteriaList WithMaxLength(StoppingCriteriaList criteria,
                                   int64_t max_length);

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_STOPPING_CRITERIA_H_
