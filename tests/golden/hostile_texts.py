"""Texts on which tokenizers differ: numbers, spaces, emoji, code, special tokens."""

HOSTILE = (
  "",
  " ",
  "12 + 345 = 357, 3.14159 and 1,000,000e-5",
  "½ ② Ⅷ ٣٤ 一二 x² 2nd",
  "a  b\t\tc\n\n\n d \r\n e\u00a0\u3000f   ",
  "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 é e\u0301 ﬁ",
  "def f(x):\n    return x ** 2  # 100%\n\tif x!=-1: pass\n",
  "don't I'LL we've 'tis rock'n'roll",
  "<|im_start|>user\nHi<|im_end|> <|im_end <|endoftext|>\n",
  "Ελληνικά русский العربية עברית हिन्दी 日本語",
  "\x00\x07\x7f\u200b\ufeff\ufffd",
  "Zürich—naïve…“quotes” $5.00 #1 @home C:\\dir",
)
