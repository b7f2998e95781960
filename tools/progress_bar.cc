#include "tools/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tools/text_output.h"

namespace pretrained {
namespace {

constexpr int kBarWidth = 20;

}  // namespace

std::string ProgressLine(const std::string& what, int64_t done_bytes,
                         int64_t total_bytes, absl::Duration elapsed) {
  const double share =
      total_bytes > 0
          ? std::clamp(static_cast<double>(done_bytes) / total_bytes, 0.0, 1.0)
          : 1.0;
  const int filled = static_cast<int>(share * kBarWidth);
  std::string line = absl::StrFormat(
      "%s %3d%% [%s%s] %s of %s", what, static_cast<int>(share * 100),
      std::string(filled, '#'), std::string(kBarWidth - filled, '.'),
      HumanBytes(done_bytes), HumanBytes(total_bytes));
  if (share > 0 && share < 1) {
    const double left = absl::ToDoubleSeconds(elapsed) * (1 - share) / share;
    absl::StrAppend(&line, ", ", static_cast<int64_t>(left + 0.5), " s left");
  }
  return line;
}

ProgressBar::ProgressBar(std::string what)
    : what_(std::move(what)),
      is_terminal_(isatty(STDERR_FILENO) != 0),
      start_(absl::Now()) {}

ProgressBar::~ProgressBar() {
  if (shown_) std::cerr << "\r\033[K" << std::flush;
}

void ProgressBar::Update(int64_t done_bytes, int64_t total_bytes) {
  if (!is_terminal_) return;
  const absl::Time now = absl::Now();
  if (now - start_ < absl::Seconds(1) ||
      now - last_shown_ < absl::Milliseconds(100)) {
    return;
  }
  last_shown_ = now;
  shown_ = true;
  std::cerr << "\r"
            << ProgressLine(what_, done_bytes, total_bytes, now - start_)
            << "\033[K" << std::flush;
}

}  // namespace pretrained
