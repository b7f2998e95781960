#ifndef PRETRAINED_TOOLS_PROGRESS_BAR_H_
#define PRETRAINED_TOOLS_PROGRESS_BAR_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/time/time.h"

namespace pretrained {

// One line of a bar, as it stands at a moment:
//
//   loading weights  41% [########............] 5.6 GB of 13.5 GB, 12 s left
std::string ProgressLine(const std::string& what, int64_t done_bytes,
                         int64_t total_bytes, absl::Duration elapsed);

// A progress bar on stderr: appears after a second, moves ten times a second,
// and takes its line away at the end. Shows nothing when stderr is no terminal.
class ProgressBar {
 public:
  explicit ProgressBar(std::string what);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Update(int64_t done_bytes, int64_t total_bytes);

 private:
  const std::string what_;
  const bool is_terminal_;
  const absl::Time start_;
  absl::Time last_shown_ = absl::InfinitePast();
  bool shown_ = false;
};

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_PROGRESS_BAR_H_
