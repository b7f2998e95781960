#include "modeling/activation_names.h"

#include <string>

#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace pretrained {
namespace {

constexpr ActivationName kActivations[] = {
    {"gelu", "GELUActivation"},
    {"gelu_10", "ClippedGELUActivation"},
    {"gelu_accurate", "AccurateGELUActivation"},
    {"gelu_fast", "FastGELUActivation"},
    {"gelu_new", "NewGELUActivation"},
    {"gelu_python", "GELUActivation"},
    {"gelu_pytorch_tanh", "PytorchGELUTanh"},
    {"laplace", "LaplaceActivation"},
    {"linear", "LinearActivation"},
    {"mish", "MishActivation"},
    {"quick_gelu", "QuickGELUActivation"},
    {"relu", "ReLU"},
    {"relu2", "ReLUSquaredActivation"},
    {"relu6", "ReLU6"},
    {"sigmoid", "Sigmoid"},
    {"silu", "SiLUActivation"},
    {"swish", "SiLUActivation"},
    {"tanh", "Tanh"},
};

}  // namespace

absl::Span<const ActivationName> ActivationNames() { return kActivations; }

const ActivationName* FindActivation(absl::string_view name) {
  for (const ActivationName& activation : kActivations) {
    if (activation.name == name) return &activation;
  }
  return nullptr;
}

std::string ListActivations() {
  return absl::StrJoin(kActivations, ", ",
                       [](std::string* out, const ActivationName& activation) {
                         out->append(activation.name);
                       });
}

}  // namespace pretrained
