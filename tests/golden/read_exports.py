"""A script: what some version of transformers makes of exported directories.

    python read_exports.py FOLDER

FOLDER/requests.json lists what is read: the name of a directory in FOLDER, `texts`
and `chats` for its tokenizer, and `prompts` (token ids) for its model. Of each name
the answers are NAME.json (`ids`, `ids_by_class`, `rendered`, `continued`) and NAME.npz: `logits`
[Q, T, V] of its prompts, where they are of one length.

It needs nothing of this repository: it runs in an environment of its own, in which
another version of transformers is installed.
"""

import json
import pathlib
import sys

import numpy as np
import torch
import transformers


def main():
  transformers.utils.logging.set_verbosity_error()
  folder = pathlib.Path(sys.argv[1])
  requests = json.loads((folder / "requests.json").read_text("utf-8"))
  for request in requests:
    found = {"version": transformers.__version__}
    directory = folder / request["name"]
    if request["texts"]:
      found |= read_tokenizer(directory, request)
    if request["prompts"]:
      model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, attn_implementation="eager", dtype=torch.float32
      ).eval()
      if request["num_steps"]:
        found["continued"] = [
          continue_prompt(model, prompt, request["num_steps"])
          for prompt in request["prompts"]
        ]
      else:
        with torch.no_grad():
          logits = model(torch.tensor(request["prompts"])).logits.numpy()
        np.savez(folder / f"{request['name']}.npz", logits=logits)
    path = folder / f"{request['name']}.json"
    path.write_text(json.dumps(found), "utf-8")


def read_tokenizer(directory, request):
  """The ids of texts by the file and by the class, and the rendered chats."""
  by_file, by_class = (
    kind.from_pretrained(directory)
    for kind in (
      transformers.PreTrainedTokenizerFast,
      transformers.AutoTokenizer,
    )
  )
  return {
    "ids": [by_file.encode(text) for text in request["texts"]],
    "ids_by_class": [by_class.encode(text) for text in request["texts"]],
    "rendered": [
      by_class.apply_chat_template(
        chat, tokenize=False, add_generation_prompt=True
      )
      for chat in request["chats"]
    ],
  }


def continue_prompt(model, prompt, num_steps):
  """Greedy tokens, by the model's own generation_config.json."""
  out = model.generate(
    torch.tensor([prompt]),
    attention_mask=torch.ones((1, len(prompt)), dtype=torch.int64),
    do_sample=False,
    max_new_tokens=num_steps,
    pad_token_id=0,
  )
  return out[0, len(prompt) :].tolist()


if __name__ == "__main__":
  main()
