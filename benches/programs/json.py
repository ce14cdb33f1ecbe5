# Objects to text and back.
import json

data = [
    {"id": n, "name": f"name {n}", "tags": ["a", "b", "ü"], "value": n / 7, "inner": {"x": None}}
    for n in range(20000)
]
for _ in range(8):
    text = json.dumps(data)
    data = json.loads(text)
print(len(text))
