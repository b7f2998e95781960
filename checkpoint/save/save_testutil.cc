#include "checkpoint/save/save_testutil.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <system_error>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "checkpoint/file_writer.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/save/folder_update.h"
#include "checkpoint/save/save_record.h"
#include "checkpoint/save/system_calls.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_testing {
namespace {

using checkpoint_internal::SetSystemCallHookForTesting;

Fault g_fault;
int g_count = 0;

int FaultHook(absl::string_view call, bool made) {
  if (call == g_fault.refused) return g_fault.refusal;
  if (!g_fault.only.empty() && call != g_fault.only) return 0;
  const int number = made ? g_count - 1 : g_count++;
  const Fault::Kind kind = g_fault.kind;
  if (number == g_fault.at &&
      kind == (made ? Fault::Kind::kKillAfter : Fault::Kind::kKillBefore)) {
    kill(getpid(), SIGKILL);
  }
  const bool fails =
      (kind == Fault::Kind::kFail && number == g_fault.at) ||
      (kind == Fault::Kind::kFailFromHere && number >= g_fault.at);
  return fails && !made ? g_fault.error : 0;
}

// Removed when the program ends.
struct MemoryFolders {
  std::vector<std::string> paths;
  ~MemoryFolders() {
    std::error_code ignored;
    for (const std::string& path : paths) {
      std::filesystem::remove_all(path, ignored);
    }
  }
};

}  // namespace

std::string MakeMemoryFolder() {
  const std::string name = absl::StrReplaceAll(
      ::testing::UnitTest::GetInstance()->current_test_info()->name(),
      {{"/", "_"}});
  std::string path = "/dev/shm/pretrained_save.XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return MakeTestFolder(name);
  static MemoryFolders made;
  made.paths.push_back(path);
  // As unlike a plain name as may be.
  const std::string folder = absl::StrCat(path, "/", name, " \xc3\xa4");
  std::filesystem::create_directory(folder);
  return folder;
}

void PutFile(const std::string& path, absl::string_view content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  file.close();
  CHECK(file.good()) << path;
}

std::map<std::string, std::string> Content(const std::string& folder) {
  std::map<std::string, std::string> content;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(folder)) {
    const std::string path = entry.path();
    std::string& text = content[path.substr(folder.size() + 1)];
    if (entry.is_symlink()) {
      text = absl::StrCat("->",
                          std::filesystem::read_symlink(entry.path()).string());
    } else if (entry.is_directory()) {
      text = "/";
    } else if (entry.is_regular_file()) {
      text = ReadTestFile(path);
    } else {
      text = "special";
    }
  }
  return content;
}

std::vector<std::string> Leftovers(const std::string& folder) {
  std::vector<std::string> found;
  for (const std::string& where :
       {folder, std::filesystem::path(folder).parent_path().string()}) {
    if (!std::filesystem::exists(where)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(where)) {
      const std::string name = entry.path().filename();
      if (absl::StrContains(name, "saving") ||
          name == checkpoint_internal::kJournalName) {
        found.push_back(entry.path());
      }
    }
  }
  return found;
}

absl::Status WriteNew(FolderUpdate& update, absl::string_view name,
                      absl::string_view content) {
  const absl::StatusOr<std::string> path = update.NewFile(name);
  if (!path.ok()) return path.status();
  absl::StatusOr<FileWriter> file = FileWriter::Create(*path);
  if (!file.ok()) return file.status();
  if (absl::Status s = file->Append(content); !s.ok()) return s;
  return file->Commit();
}

absl::Status UpdateFolder(const std::string& folder,
                          const std::map<std::string, std::string>& files,
                          const std::vector<std::string>& removed) {
  absl::StatusOr<FolderUpdate> update = FolderUpdate::Begin(folder);
  if (!update.ok()) return update.status();
  for (const auto& [name, content] : files) {
    if (absl::Status s = WriteNew(*update, name, content); !s.ok()) return s;
  }
  for (const std::string& name : removed) {
    if (absl::Status s = update->Remove(name); !s.ok()) return s;
  }
  return update->Commit();
}

std::map<std::string, std::string> PutOldFiles(const std::string& folder) {
  std::filesystem::create_directories(folder + "/runs/deep er");
  PutFile(folder + "/a", "old a");
  PutFile(folder + "/b", "old b");
  PutFile(folder + "/stale", "old stale");
  PutFile(folder + "/with blank", "1");
  PutFile(folder + "/\xff\xfe not utf-8\n", "2");
  PutFile(folder + "/runs/deep er/log", "3");
  std::filesystem::create_symlink("a", folder + "/link");
  std::filesystem::create_symlink("/nowhere/at/all", folder + "/runs/dangling");
  std::filesystem::create_directory(folder + "/empty");
  return Content(folder);
}

FaultyCalls::FaultyCalls(const Fault& fault) {
  g_fault = fault;
  g_count = 0;
  SetSystemCallHookForTesting(FaultHook);
}

FaultyCalls::~FaultyCalls() { SetSystemCallHookForTesting(nullptr); }

int FaultyCalls::count() { return g_count; }

}  // namespace checkpoint_testing
}  // namespace pretrained
