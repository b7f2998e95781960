"""What make_golden.py and random_configs.py share: ../golden_decoders.py, and the classes."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from golden_decoders import call, redraw  # noqa: E402,F401  (of testdata)

CLASSES = ["RobertaModel", "RobertaForCausalLM", "RobertaForMaskedLM", "RobertaForSequenceClassification",
           "RobertaForMultipleChoice", "RobertaForTokenClassification", "RobertaForQuestionAnswering"]
