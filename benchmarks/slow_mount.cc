// Mounts the files of a folder once more, as slow as storage behind a network:
// a FUSE file system that any program can read, ours and its rivals alike.
//
//   slow_mount SOURCE MOUNTPOINT [--latency_ms=2] [--mb_per_second=0]
//
// Every read that the kernel asks for waits so long before its bytes come; all
// reads together bring no more than that bandwidth (0: no limit). Speaks the
// kernel's own protocol (linux/fuse.h), so that no library is needed. Runs
// until SIGTERM or SIGINT, and unmounts. Needs /dev/fuse and the right to
// mount; exit status 77 where it is not there, for tests to be skipped.
//
// Only the regular files right in SOURCE are shown, and only for reading.

#include <dirent.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace pretrained {
namespace {

constexpr int kSkipped = 77;
constexpr int kThreads = 80;  // Requests that can wait at a time.
constexpr uint32_t kMaxReadBytes = 1 << 20;
constexpr uint64_t kFirstFile = FUSE_ROOT_ID + 1;

struct File {
  std::string name;
  int fd = -1;
  struct stat info = {};
};

class SlowMount {
 public:
  SlowMount(absl::Duration latency, double bytes_per_second)
      : latency_(latency), bytes_per_second_(bytes_per_second) {}

  // An errno, or 0.
  int Open(const std::string& folder) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      File file = {.name = entry.path().filename()};
      file.fd = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
      if (file.fd < 0 || fstat(file.fd, &file.info) != 0) return errno;
      if (S_ISREG(file.info.st_mode)) files_.push_back(file);
    }
    return 0;
  }

  int Mount(const std::string& point) {
    device_ = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device_ < 0) return errno;
    const std::string options =
        absl::StrCat("fd=", device_, ",rootmode=40000,user_id=", getuid(),
                     ",group_id=", getgid(), ",allow_other");
    const int result = mount("slow_mount", point.c_str(), "fuse",
                             MS_RDONLY | MS_NOSUID | MS_NODEV, options.c_str());
    return result == 0 ? 0 : errno;
  }

  // Answers requests in threads of their own, which never end.
  void Serve() {
    for (int i = 0; i < kThreads; ++i) {
      std::thread([this] { ServeOne(); }).detach();
    }
  }

 private:
  void ServeOne() {
    std::vector<char> request(1 << 17);
    std::vector<char> bytes(kMaxReadBytes);
    for (;;) {
      const ssize_t size = read(device_, request.data(), request.size());
      if (size < 0 && errno == ENODEV) return;  // Unmounted.
      if (size < static_cast<ssize_t>(sizeof(fuse_in_header))) continue;
      fuse_in_header header;
      std::memcpy(&header, request.data(), sizeof(header));
      Answer(header, request.data() + sizeof(header), bytes);
    }
  }

  void Answer(const fuse_in_header& request, const char* argument,
              std::vector<char>& bytes) {
    switch (request.opcode) {
      case FUSE_INIT:
        return Init(request, argument);
      case FUSE_LOOKUP:
        return LookUp(request, argument);
      case FUSE_GETATTR: {
        fuse_attr_out out = {.attr_valid = 3600};
        out.attr = AttributesOf(request.nodeid);
        return Reply(request, &out, sizeof(out));
      }
      case FUSE_OPEN:
      case FUSE_OPENDIR: {
        fuse_open_out out = {};  // What is cached of it goes at each opening.
        return Reply(request, &out, sizeof(out));
      }
      case FUSE_READ:
        return Read(request, argument, bytes);
      case FUSE_READDIR:
        return List(request, argument);
      case FUSE_STATFS: {
        fuse_statfs_out out = {};
        out.st.bsize = out.st.frsize = 4096;
        out.st.namelen = 255;
        return Reply(request, &out, sizeof(out));
      }
      case FUSE_RELEASE:
      case FUSE_RELEASEDIR:
      case FUSE_DESTROY:
        return Reply(request, nullptr, 0);
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT:
        return;  // Not answered.
      default:
        return Fail(request, ENOSYS);
    }
  }

  void Send(uint64_t unique, int error, const void* data, size_t size) {
    const fuse_out_header header = {
        .len = static_cast<uint32_t>(sizeof(fuse_out_header) + size),
        .error = -error,
        .unique = unique};
    const iovec parts[] = {
        {const_cast<fuse_out_header*>(&header), sizeof(header)},
        {const_cast<void*>(data), size}};
    // Fails where the asker has gone; nothing is to be done about that.
    if (writev(device_, parts, size > 0 ? 2 : 1) < 0) return;
  }
  void Reply(const fuse_in_header& request, const void* data, size_t size) {
    Send(request.unique, 0, data, size);
  }
  void Fail(const fuse_in_header& request, int error) {
    Send(request.unique, error, nullptr, 0);
  }

  void Init(const fuse_in_header& request, const char* argument) {
    fuse_init_in in;
    std::memcpy(&in, argument, offsetof(fuse_init_in, flags) + 4);
    fuse_init_out out = {};
    out.major = FUSE_KERNEL_VERSION;
    out.minor = std::min<uint32_t>(in.minor, FUSE_KERNEL_MINOR_VERSION);
    out.max_readahead = in.max_readahead;
    out.flags = in.flags & (FUSE_ASYNC_READ | FUSE_MAX_PAGES | FUSE_ASYNC_DIO |
                            FUSE_PARALLEL_DIROPS);
    out.max_background = kThreads;
    out.congestion_threshold = kThreads;
    out.max_write = 4096;
    out.time_gran = 1;
    out.max_pages = kMaxReadBytes / 4096;
    Reply(request, &out, sizeof(out));
  }

  fuse_attr AttributesOf(uint64_t node) const {
    fuse_attr attributes = {.ino = node, .mode = S_IFDIR | 0555, .nlink = 1};
    attributes.blksize = 4096;
    if (node < kFirstFile) return attributes;
    const struct stat& info = files_[node - kFirstFile].info;
    attributes.mode = S_IFREG | 0444;
    attributes.size = info.st_size;
    attributes.blocks = (info.st_size + 511) / 512;
    attributes.mtime = info.st_mtime;
    return attributes;
  }

  void LookUp(const fuse_in_header& request, const char* name) {
    for (size_t i = 0; i < files_.size(); ++i) {
      if (files_[i].name != name) continue;
      fuse_entry_out out = {.nodeid = kFirstFile + i};
      out.entry_valid = out.attr_valid = 3600;
      out.attr = AttributesOf(out.nodeid);
      return Reply(request, &out, sizeof(out));
    }
    Fail(request, ENOENT);
  }

  void Read(const fuse_in_header& request, const char* argument,
            std::vector<char>& bytes) {
    fuse_read_in in;
    std::memcpy(&in, argument, sizeof(in));
    if (request.nodeid < kFirstFile) return Fail(request, EISDIR);
    const ssize_t size =
        pread(files_[request.nodeid - kFirstFile].fd, bytes.data(),
              std::min<size_t>(in.size, bytes.size()), in.offset);
    if (size < 0) return Fail(request, errno);
    Wait(size);
    Reply(request, bytes.data(), size);
  }

  void List(const fuse_in_header& request, const char* argument) {
    fuse_read_in in;
    std::memcpy(&in, argument, sizeof(in));
    std::string list;
    for (size_t i = in.offset; i < files_.size(); ++i) {
      const std::string& name = files_[i].name;
      const fuse_dirent entry = {.ino = kFirstFile + i,
                                 .off = i + 1,
                                 .namelen = static_cast<uint32_t>(name.size()),
                                 .type = DT_REG};
      std::string text(reinterpret_cast<const char*>(&entry), FUSE_NAME_OFFSET);
      text += name;
      text.resize(FUSE_DIRENT_ALIGN(text.size()));
      if (list.size() + text.size() > in.size) break;
      list += text;
    }
    Reply(request, list.data(), list.size());
  }

  // Lets the time go by that a request for `bytes` takes.
  void Wait(int64_t bytes) {
    absl::Time done = absl::Now() + latency_;
    if (bytes_per_second_ > 0) {
      absl::MutexLock lock(&mutex_);
      done = std::max(done, line_is_free_) +
             absl::Seconds(static_cast<double>(bytes) / bytes_per_second_);
      line_is_free_ = done;
    }
    absl::SleepFor(done - absl::Now());
  }

  const absl::Duration latency_;
  const double bytes_per_second_;
  std::vector<File> files_;
  int device_ = -1;
  absl::Mutex mutex_;
  absl::Time line_is_free_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

int Run(const std::string& source, const std::string& point, double latency_ms,
        double mb_per_second) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // Never destroyed: its threads go on until the process ends.
  auto* const slow =
      new SlowMount(absl::Milliseconds(latency_ms), mb_per_second * 1e6);
  if (const int error = slow->Open(source); error != 0) {
    std::cerr << "slow_mount: " << source << ": " << std::strerror(error)
              << "\n";
    return 1;
  }
  if (const int error = slow->Mount(point); error != 0) {
    std::cerr << "slow_mount: cannot mount here: " << std::strerror(error)
              << "\n";
    return kSkipped;
  }
  slow->Serve();
  int signal;
  sigwait(&signals, &signal);
  umount2(point.c_str(), MNT_DETACH);
  _exit(0);
}

}  // namespace
}  // namespace pretrained

int main(int argc, char** argv) {
  std::string source;
  std::string point;
  double latency_ms = 2;
  double mb_per_second = 0;
  CLI::App app("Mounts a folder's files as slow as storage behind a network");
  app.add_option("SOURCE", source)->required();
  app.add_option("MOUNTPOINT", point)->required();
  app.add_option("--latency_ms", latency_ms);
  app.add_option("--mb_per_second", mb_per_second);
  CLI11_PARSE(app, argc, argv);
  return pretrained::Run(source, point, latency_ms, mb_per_second);
}
