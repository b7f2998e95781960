#ifndef PRETRAINED_TOOLS_PROCESS_MEMORY_H_
#define PRETRAINED_TOOLS_PROCESS_MEMORY_H_

#include <atomic>
#include <cstdint>
#include <thread>

namespace pretrained {

// Bytes of this process's memory that are resident and its alone (RssAnon of
// /proc/self/status); 0 where the system does not tell.
int64_t PrivateBytes();

// The most bytes that were ever resident, mapped files included.
int64_t PeakResidentBytes();

// Watches PrivateBytes(), for which the kernel keeps no peak, every two
// milliseconds from construction until Stop().
class PrivateMemorySampler {
 public:
  PrivateMemorySampler();
  ~PrivateMemorySampler();
  PrivateMemorySampler(const PrivateMemorySampler&) = delete;
  PrivateMemorySampler& operator=(const PrivateMemorySampler&) = delete;

  // The peak so far; the first call ends the watching.
  int64_t Stop();

 private:
  void Sample();

  std::atomic<bool> stopping_ = false;
  std::atomic<int64_t> peak_ = 0;
  std::thread thread_;
};

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_PROCESS_MEMORY_H_
