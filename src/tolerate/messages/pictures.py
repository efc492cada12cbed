"""Texts of a run of a picture job, in English and Chinese: assumptions, limits, uses of the data."""

Text = dict[str, str]

USES: dict[str, Text] = {
    "generator": {"en": "train the generators", "zh": "训练生成器"},
    "reader": {"en": "train the reader", "zh": "训练读图器"},
    "reader_test": {"en": "measure the reader's own error", "zh": "测量读图器自身的错误"},
    "judge": {"en": "train the judge", "zh": "训练评分器"},
    "features": {"en": "train the metrics' feature network", "zh": "训练指标所用的特征网络"},
    "reference": {"en": "compare drawings with", "zh": "与生成图比较"},
}

ASSUMPTIONS: list[Text] = [
    {
        "en": "Requests come independently, each class as often as in this run; a request is the sampling unit.",
        "zh": "请求相互独立,各类出现的频率与本次运行相同;抽样单位是请求。",
    },
    {
        "en": "Generator, judge, refining and threshold stay as they are; a change of any of them voids the promise.",
        "zh": "生成器、评分器、精修方式和阈值保持不变;任何一项改变,承诺即作废。",
    },
    {
        "en": "Wrong means what the check says: read as another class, or as none. The reader's own error is "
        "measured on further real pictures and printed here; it is not part of the bound.",
        "zh": "“错误”以检验为准:被读成别的类,或什么都不是。读图器自身的错误在另外的真图上测出并印在这里,未计入上界。",
    },
    {
        "en": "Each line of the map is certified with the error probability divided by the number of strategies, "
        "so that the cheapest may be chosen after looking.",
        "zh": "图上每条线的错误概率都已除以策略数,因此可以看过之后再选最便宜的一条。",
    },
]

LIMITS: list[Text] = [
    {
        "en": "The confidence is for one tolerance, fixed before looking. Who tries all tolerances and keeps the "
        "nicest has no promise at this confidence.",
        "zh": "置信度只针对事先选定的一个容错率。若试遍所有容错率再挑最好看的,就没有这一置信度的保证。",
    },
    {
        "en": "A single released drawing may be wrong: the promise is about the share among many.",
        "zh": "单张放行的图仍可能是错的:承诺针对的是大量放行结果中的比例。",
    },
    {
        "en": "Nothing is said of other data, other requests, or people who read more strictly than the reader.",
        "zh": "结论不适用于其他数据、其他请求,也不适用于比读图器更严格的读者。",
    },
    {
        "en": "The order of the techniques is theirs at this budget, size and data; it is no ranking of the ideas.",
        "zh": "各技术的先后只在本次的预算、尺寸和数据下成立,不是对方法本身的排名。",
    },
]
