"""What make_golden.py and random_configs.py share beside ../golden_decoders.py, which it finds for them."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from golden_decoders import call, redraw  # noqa: E402,F401  (of testdata)

CLASSES = ("GPTNeoXModel", "GPTNeoXForCausalLM", "GPTNeoXForSequenceClassification", "GPTNeoXForTokenClassification",
           "GPTNeoXForQuestionAnswering")
