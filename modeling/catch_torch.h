#ifndef PRETRAINED_MODELING_CATCH_TORCH_H_
#define PRETRAINED_MODELING_CATCH_TORCH_H_

#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "c10/util/Exception.h"

namespace pretrained {

// Runs `work`, which may call LibTorch, and turns what it throws into a Status:
// kResourceExhausted when memory ran out, else kInvalidArgument with LibTorch's
// message, without its backtrace, after `doing`.
//
//   return CatchTorch("pruning heads of layer 3",
//                     [&]() -> absl::StatusOr<at::Tensor> { .. });
//
// `work` returns an absl::Status, or an absl::StatusOr.
template <typename Work>
std::invoke_result_t<Work> CatchTorch(absl::string_view doing, Work&& work) {
  try {
    return std::forward<Work>(work)();
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
