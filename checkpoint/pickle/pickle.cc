#include "checkpoint/pickle/pickle.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/pickle/pickle_globals.h"
#include "checkpoint/pickle/pickle_machine.h"

namespace pretrained {

using checkpoint_internal::PickleMachine;

absl::StatusOr<Pickle> Pickle::Parse(absl::string_view bytes,
                                     const PickleOptions& options) {
  PickleMachine machine(bytes, options);
  const absl::Status status = machine.Run();
  if (!status.ok()) return status;
  return std::move(machine).Release();
}

absl::StatusOr<Pickle> Pickle::ParseOwned(std::string bytes,
                                          const PickleOptions& options) {
  // On the heap, so that views survive the Pickle's being moved.
  auto owned = std::make_unique<std::string>(std::move(bytes));
  absl::StatusOr<Pickle> pickle = Parse(*owned, options);
  if (pickle.ok()) pickle->bytes_ = std::move(owned);
  return pickle;
}

PickleScan ScanPickle(absl::string_view bytes, const PickleOptions& options) {
  PickleOptions all = options;
  all.refuse_dangerous_globals = false;
  PickleMachine machine(bytes, all);
  PickleScan scan;
  scan.status = machine.Run();
  const int64_t stopped_at = machine.offset();
  const Pickle pickle = std::move(machine).Release();
  scan.bytes_consumed = scan.status.ok() ? pickle.bytes_consumed() : stopped_at;
  for (const PickleGlobal* global : pickle.globals()) {
    scan.globals.push_back(
        {std::string(global->module), std::string(global->name),
         ClassifyPickleGlobal(global->module, global->name), global->offset});
  }
  return scan;
}

}  // namespace pretrained
