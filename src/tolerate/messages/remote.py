"""Texts of a run with a model behind a server, in English and Chinese."""

Text = dict[str, str]

USES: dict[str, Text] = {
    "sample": {"en": "requests of the certificates", "zh": "用于证书的请求"},
    "fresh": {"en": "requests of the proof", "zh": "用于验证的请求"},
    "review": {"en": "requests that a person judges", "zh": "由人判定的请求"},
}

ASSUMPTIONS: list[Text] = [
    {
        "en": "The table's rows are a random part of what will be asked; a row is the sampling unit, used "
        "once.",
        "zh": "表中各行是将来请求的随机样本；抽样单位是行，每行只用一次。",
    },
    {
        "en": "The server keeps the model, its prompt and its settings as they are. A provider that changes a model "
        "behind its name voids the promise; the watch is there to notice.",
        "zh": "服务器上的模型、提示和设置保持不变。若供应商在同一名称下更换模型，承诺即作废；请用监视来发现。",
    },
    {
        "en": "Wrong means what the check says. Its own error, measured on texts with known faults, is printed here; "
        "it is not part of the bound.",
        "zh": "“错误”以检验为准。检验自身的错误在已知有无错误的文本上测出并印在这里，未计入上界。",
    },
    {
        "en": "Each line of the map is certified with the error probability divided by the number of strategies, "
        "so that the cheapest may be chosen after looking.",
        "zh": "图上每条线的错误概率都已除以策略数，因此可以看过之后再选最便宜的一条。",
    },
]
