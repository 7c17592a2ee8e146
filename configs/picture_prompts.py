"""Prompts of pictures, and what the pictures may be chosen for.

Three splits without a prompt in common: members are chosen on one, settings on
another, and both are judged on the last. No prompt names a colour, a style or a
thing that has one colour wherever it is.
"""

COLOURS = ("blue", "yellow", "red", "green")
STYLES = ("oil painting", "pencil sketch", "watercolor", "pixel art")

SELECT = (
  "a teapot on a wooden table",
  "a dog running along a beach",
  "an old bicycle against a wall",
  "a woman reading in a train",
  "a small house beside a lake",
  "a bowl of soup with noodles",
  "a street market in the rain",
  "a robot playing the piano",
)
DEV = (
  "a cat asleep on a sofa",
  "a chair in an empty room",
  "a fishing boat in a harbour",
  "a child with a kite on a hill",
  "a stack of books and a lamp",
  "a horse in front of a barn",
  "an astronaut riding a bus",
  "a cup of tea by the window",
)
JUDGE = (
  "a bird on a branch",
  "a car parked by the road",
  "a violin on a bed",
  "a man repairing a clock",
  "a castle above a river",
  "a cake with candles",
  "a bridge in the fog",
  "an owl wearing a hat",
  "a pair of shoes on the stairs",
  "a dancer on a stage",
  "a lighthouse at night",
  "a kitchen with a round table",
  "two people playing chess",
  "a tent in the mountains",
  "a vase with tulips",
  "a fish in a glass bowl",
)
