#include "tools/process_memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace pretrained {

int64_t PrivateBytes() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    absl::string_view text = line;
    if (!absl::ConsumePrefix(&text, "RssAnon:")) continue;
    absl::ConsumeSuffix(&text, "kB");
    int64_t kilobytes = 0;
    if (absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &kilobytes)) {
      return kilobytes * 1024;
    }
  }
  return 0;
}

int64_t PeakResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

PrivateMemorySampler::PrivateMemorySampler() {
  Sample();
  thread_ = std::thread([this] {
    while (!stopping_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      Sample();
    }
  });
}

PrivateMemorySampler::~PrivateMemorySampler() { Stop(); }

void PrivateMemorySampler::Sample() {
  peak_ = std::max<int64_t>(peak_, PrivateBytes());
}

int64_t PrivateMemorySampler::Stop() {
  if (thread_.joinable()) {
    stopping_ = true;
    thread_.join();
    Sample();
  }
  return peak_;
}

}  // namespace pretrained
