#include "checkpoint/pickle/pickle_globals.h"

#include "absl/types/span.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

struct Name {
  const char* module;
  const char* name;
};

void ExpectAll(absl::Span<const Name> names, PickleGlobalClass want) {
  for (const Name& n : names) {
    EXPECT_EQ(PickleGlobalClassName(ClassifyPickleGlobal(n.module, n.name)),
              PickleGlobalClassName(want))
        << n.module << " " << n.name;
  }
}

TEST(PickleGlobalsTest, KnowsWhatCheckpointsAreMadeOf) {
  constexpr Name kNames[] = {
      {"collections", "OrderedDict"},
      {"collections", "defaultdict"},
      {"collections", "Counter"},
      {"torch._utils", "_rebuild_tensor"},
      {"torch._utils", "_rebuild_tensor_v2"},
      {"torch._utils", "_rebuild_tensor_v3"},
      {"torch._utils", "_rebuild_parameter"},
      {"torch._utils", "_rebuild_parameter_with_state"},
      {"torch._utils", "_rebuild_qtensor"},
      {"torch._tensor", "_rebuild_from_type_v2"},
      {"torch", "FloatStorage"},
      {"torch", "BFloat16Storage"},
      {"torch.cuda", "HalfStorage"},
      {"torch.storage", "UntypedStorage"},
      {"torch.storage", "TypedStorage"},
      {"torch", "float32"},
      {"torch", "float8_e4m3fn"},
      {"torch", "Size"},
      {"torch", "device"},
      {"torch.serialization", "_get_layout"},
      {"torch.nn.parameter", "Parameter"},
      {"torch.nn.parameter", "Buffer"},
      {"_codecs", "encode"},
      {"__builtin__", "set"},
      {"builtins", "set"},
      {"builtins", "complex"},
      {"__builtin__", "unicode"},
      {"numpy", "ndarray"},
      {"numpy", "dtype"},
      {"numpy.core.multiarray", "_reconstruct"},
      {"numpy._core.multiarray", "_reconstruct"},
      {"numpy.core.multiarray", "scalar"},
      {"numpy._core.numeric", "_frombuffer"},
      {"argparse", "Namespace"},
  };
  ExpectAll(kNames, PickleGlobalClass::kKnown);
}

TEST(PickleGlobalsTest, LeavesAloneWhatItDoesNotKnow) {
  constexpr Name kNames[] = {
      {"", ""},
      {"__main__", "Config"},
      {"mypackage.code", "Thing"},
      {"mypackage.os", "Thing"},
      {"osprey", "Bird"},
      {"transformers.training_args", "TrainingArguments"},
      {"transformers.trainer_utils", "IntervalStrategy"},
      {"pathlib", "PosixPath"},
      {"datetime", "datetime"},
      {"uuid", "UUID"},
      {"functools", "partial"},
      {"operator", "add"},
      {"types", "SimpleNamespace"},
      {"copyreg", "_reconstructor"},
      {"copy_reg", "_reconstructor"},
      {"copyreg", "__newobj__"},
      {"_io", "BytesIO"},
      {"builtins", "ValueError"},
      {"torch", "FlautStorage"},
      {"mymodule", "FloatStorage"},
      {"torch.optim.adam", "Adam"},
      {"torch.nn.modules.linear", "Linear"},
      {"torch.distributed._shard.sharded_tensor.api", "ShardedTensor"},
      {"numpy.random._pickle", "__randomstate_ctor"},
      {"mypackage", "Outer.Inner"},
      {"omegaconf.dictconfig", "DictConfig"},
  };
  ExpectAll(kNames, PickleGlobalClass::kUnknown);
}

TEST(PickleGlobalsTest, FindsWhatCanOnlyExecute) {
  constexpr Name kNames[] = {
      {"builtins", "eval"},
      {"__builtin__", "eval"},
      {"builtins", "exec"},
      {"__builtin__", "execfile"},
      {"builtins", "compile"},
      {"builtins", "getattr"},
      {"builtins", "setattr"},
      {"builtins", "delattr"},
      {"builtins", "__import__"},
      {"builtins", "open"},
      {"__builtin__", "file"},
      {"builtins", "input"},
      {"builtins", "breakpoint"},
      {"builtins", "globals"},
      {"builtins", "vars"},
      {"__builtin__", "apply"},
      {"six.moves.builtins", "eval"},
      {"six.moves", "range"},
      {"django.utils.six.moves", "builtins"},
      {"os", "system"},
      {"os", "anything"},
      {"os.path", "join"},
      {"posix", "system"},
      {"nt", "system"},
      {"subprocess", "Popen"},
      {"commands", "getoutput"},
      {"sys", "modules"},
      {"importlib", "import_module"},
      {"importlib.machinery", "SourceFileLoader"},
      {"runpy", "run_path"},
      {"socket", "create_connection"},
      {"pty", "spawn"},
      {"ctypes", "CDLL"},
      {"shutil", "rmtree"},
      {"code", "InteractiveInterpreter"},
      {"codeop", "compile_command"},
      {"pickle", "loads"},
      {"_pickle", "loads"},
      {"cPickle", "loads"},
      {"marshal", "loads"},
      {"types", "FunctionType"},
      {"types", "CodeType"},
      {"operator", "attrgetter"},
      {"_operator", "methodcaller"},
      {"functools", "reduce"},
      {"webbrowser", "open"},
      {"pdb", "run"},
      {"bdb", "Bdb"},
      {"timeit", "timeit"},
      {"asyncio", "run"},
      {"multiprocessing.util", "spawnv_passfds"},
      {"threading", "Thread"},
      {"signal", "signal"},
      {"tempfile", "mktemp"},
      {"urllib.request", "urlopen"},
      {"urllib2", "urlopen"},
      {"http.client", "HTTPConnection"},
      {"requests", "get"},
      {"requests.api", "get"},
      {"torch.hub", "load"},
      {"torch", "load"},
      {"torch.serialization", "load"},
      {"torch.storage", "_load_from_bytes"},
      {"torch.jit", "load"},
      {"torch.utils.cpp_extension", "load_inline"},
      {"torch.fx.graph_module", "reduce_graph_module"},
      {"numpy.testing._private.utils", "runstring"},
      {"numpy", "load"},
      {"pip", "main"},
      {"pip._internal.cli.main", "main"},
      {"cProfile", "run"},
      {"copyreg", "add_extension"},
      {"dill._dill", "_create_function"},
      {"cloudpickle.cloudpickle", "_builtin_type"},
      {"uuid", "_get_command_stdout"},
  };
  ExpectAll(kNames, PickleGlobalClass::kDangerous);
}

// Protocol 4 follows the dots of a name through whatever they lead to.
TEST(PickleGlobalsTest, FindsWaysThroughHarmlessModules) {
  constexpr Name kNames[] = {
      {"builtins", "eval.__call__"},
      {"torch", "os.system"},
      {"torch", "serialization.os.system"},
      {"torch", "load.__call__"},
      {"collections", "abc.sys.modules"},
      {"collections", "_sys"},
      {"torch", "os"},
      {"mypackage", "subprocess"},
      {"mypackage", "__builtins__"},
      {"mypackage", "__import__"},
      {"mypackage", "f.__globals__"},
      {"mypackage", "Thing.__init__.__globals__"},
      {"mypackage", "Thing.__subclasses__"},
      {"argparse", "_sys.modules"},
      {"argparse", "Namespace.__class__"},
      {"collections", "OrderedDict.__reduce__"},
  };
  ExpectAll(kNames, PickleGlobalClass::kDangerous);
}

}  // namespace
}  // namespace pretrained
