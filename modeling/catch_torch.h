#ifndef PRETRAINED_MODELING_CATCH_TORCH_H_
#define PRETRAINED_MODELING_CATCH_TORCH_H_

#include <exception>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "c10/util/Exception.h"

namespace pretrained {

// An error on its way out of a place that returns no Status (a module's hook)
// to the CatchTorch() around it.
class StatusError : public std::exception {
 public:
  // `status` must not be OK.
  explicit StatusError(absl::Status status)
      : status_(std::move(status)), text_(status_.ToString()) {}

  const absl::Status& status() const { return status_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  absl::Status status_;
  std::string text_;
};

// Runs `work`, which may call LibTorch, and turns what it throws into a Status:
// that of a StatusError, with `doing` before its message; kResourceExhausted
// when memory ran out, else kInvalidArgument with LibTorch's message, without
// its backtrace, after `doing`.
//
//   return CatchTorch("pruning heads of layer 3",
//                     [&]() -> absl::StatusOr<at::Tensor> { .. });
//
// `work` returns an absl::Status, or an absl::StatusOr.
template <typename Work>
std::invoke_result_t<Work> CatchTorch(absl::string_view doing, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const StatusError& error) {
    return absl::Status(error.status().code(),
                        absl::StrCat(doing, ": ", error.status().message()));
  } catch (const c10::OutOfMemoryError& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat(doing, ": ", error.what_without_backtrace()));
  } catch (const c10::Error& error) {
    const absl::string_view message = error.what_without_backtrace();
    // The allocators have no exception of their own for it.
    const bool memory = absl::StrContains(message, "can't allocate memory") ||
                        absl::StrContains(message, "not enough memory") ||
                        absl::StrContains(message, "out of memory");
    return absl::Status(memory ? absl::StatusCode::kResourceExhausted
                               : absl::StatusCode::kInvalidArgument,
                        absl::StrCat(doing, ": ", message));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(
        absl::StrCat(doing, ": not enough memory"));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(doing, ": ", error.what()));
  }
}

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_CATCH_TORCH_H_
