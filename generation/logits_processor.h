#ifndef PRETRAINED_GENERATION_LOGITS_PROCESSOR_H_
#define PRETRAINED_GENERATION_LOGITS_PROCESSOR_H_

#include <concepts>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pretrained {

// Which group of beams is being processed, and what the groups before it chose
// in this step; only HammingDiversityLogitsProcessor asks.
struct BeamGroup {
  at::Tensor current_tokens;  // [batch * num_beams] int64, row by row; those of
                              // this and later groups are not looked at.
  int64_t index = 0;          // From 0.
};

// Changes the scores of the next token, given the tokens so far.
//
//   absl::StatusOr<TopKLogitsWarper> top_k = TopKLogitsWarper::Create(50);
//   if (!top_k.ok()) return top_k.status();
//   absl::StatusOr<at::Tensor> kept = top_k->Process(input_ids, logits);
//
// A processor is a value: copied or moved, and shared through
// LogitsProcessorList. Token ids in its settings that are outside the
// vocabulary never match.
//
// Threads: Process() of one object by one thread at a time.
// Matches: transformers 4.34 generation/logits_process.py `LogitsProcessor` and
//     `LogitsWarper`, which differ in name only.
class LogitsProcessor {
 public:
  virtual ~LogitsProcessor() = default;

  //   input_ids  [rows, tokens] int64: what each row holds so far
  //   scores     [rows, vocabulary], floating-point: logits, or log
  //              probabilities under beam search; may be changed in place
  //   returns    the new scores, which may be `scores` itself
  // kInvalidArgument when shapes or dtypes are others.
  virtual absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                             at::Tensor scores) = 0;

  // As Process(), for one group of beams: rows are of that group alone.
  virtual absl::StatusOr<at::Tensor> ProcessGroup(const at::Tensor& input_ids,
                                                  at::Tensor scores,
                                                  const BeamGroup& group) {
    return Process(input_ids, std::move(scores));
  }

 protected:
  LogitsProcessor() = default;
  LogitsProcessor(const LogitsProcessor&) = default;
  LogitsProcessor(LogitsProcessor&&) = default;
  LogitsProcessor& operator=(const LogitsProcessor&) = default;
  LogitsProcessor& operator=(LogitsProcessor&&) = default;
};

// Processors one after the other; each gets what the one before returned. An
// empty list changes nothing.
//
//   LogitsProcessorList processors;
//   processors.Add(*std::move(top_k));
//   processors.Add(LogitNormalization());
//   scores = processors.Process(input_ids, scores);
//
// Copies share their processors.
// Matches: `LogitsProcessorList`.
class LogitsProcessorList : public LogitsProcessor {
 public:
  // `processor` is not null.
  void Add(std::shared_ptr<LogitsProcessor> processor) {
    processors_.push_back(std::move(processor));
  }
  template <std::derived_from<LogitsProcessor> Processor>
  void Add(Processor processor) {
    Add(std::make_shared<Processor>(std::move(processor)));
  }
  // Adds those of `custom`, unless one is of the class of one that is here:
  // then kInvalidArgument, and nothing is added.
  // Matches: `_merge_criteria_processor_list`.
  absl::Status Merge(const LogitsProcessorList& custom);

  bool empty() const { return processors_.empty(); }
  int64_t size() const { return processors_.size(); }
  const std::vector<std::shared_ptr<LogitsProcessor>>& processors() const {
    return processors_;
  }

  // Stops at the first error.
  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;
  absl::StatusOr<at::Tensor> ProcessGroup(const at::Tensor& input_ids,
                                          at::Tensor scores,
                                          const BeamGroup& group) override;

 private:
  std::vector<std::shared_ptr<LogitsProcessor>> processors_;
};

// For those who write a processor: kInvalidArgument, naming `processor`, unless
// shapes and dtypes are as LogitsProcessor::Process() has them.
absl::Status CheckProcessorInputs(const char* processor,
                                  const at::Tensor& input_ids,
                                  const at::Tensor& scores);
// The same for one that does not look at input_ids, which may be undefined.
absl::Status CheckScores(const char* processor, const at::Tensor& scores);

// `ids` without those outside [0, vocabulary), as an index for a tensor on
// `like`'s device: [n] int64.
at::Tensor IdsWithin(const std::vector<int64_t>& ids, int64_t vocabulary,
                     const at::Tensor& like);

// Sets scores[rows[i], ids[i]] to `value`; pairs whose id is outside the
// vocabulary are left out. As many rows as ids.
void SetScores(at::Tensor& scores, const std::vector<int64_t>& rows,
               const std::vector<int64_t>& ids, double value);

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_LOGITS_PROCESSOR_H_
