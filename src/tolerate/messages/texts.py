"""What a run of a text job tells of itself beside the figures, in English and Chinese."""

Text = dict[str, str]

USES: dict[str, Text] = {
    "generator": {"en": "teach the writers", "zh": "训练写作模型"},
    "judge": {"en": "fit the verifier", "zh": "拟合校验器"},
    "asked": {"en": "requests of the sample and of the proof", "zh": "抽样与验证所用的请求"},
}

ASSUMPTIONS: list[Text] = [
    {
        "en": "Requests come independently, as in this run; a request is the sampling unit.",
        "zh": "请求相互独立，与本次运行同分布；抽样单位是请求。",
    },
    {
        "en": "Writer, decoding, refining, verifier and threshold stay as they are; a change of any of them voids "
        "the promise.",
        "zh": "写作模型、解码、精修、校验器和阈值保持不变；任何一项改变，承诺即作废。",
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

LIMITS: list[Text] = [
    {
        "en": "The confidence is for one tolerance, fixed before looking. Who tries all tolerances and keeps the "
        "nicest has no promise at this confidence.",
        "zh": "置信度只针对事先选定的一个容错率。若试遍所有容错率再挑最好看的，就没有这一置信度的保证。",
    },
    {
        "en": "A single released text may be wrong: the promise is about the share among many.",
        "zh": "单个放行的文本仍可能有错：承诺针对的是大量放行结果中的比例。",
    },
    {
        "en": "Nothing is said of other data, other requests, or people who read more strictly than the check.",
        "zh": "结论不适用于其他数据、其他请求，也不适用于比检验更严格的读者。",
    },
]
