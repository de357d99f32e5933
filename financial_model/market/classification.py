"""Industry words of other classifications to our eleven industries: one table, and what is missing from it is counted, never guessed.

In: a classification's own wording (tushare's 110 names, Shenwan's first level, GICS and Yahoo sectors, our own names). Out: one of
``config.INDUSTRIES``. Industries come from such lists alone, never from the digits of a code. It knows no symbols.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping

from financial_model.config import INDUSTRIES

OTHER = "other"

_CHINESE: dict[str, str] = {
    "finance": "银行 证券 保险 多元金融 非银金融 金融",
    "consumer": (
        "汽车配件 汽车整车 汽车服务 摩托车 食品 乳制品 白酒 啤酒 红黄酒 软饮料 农业综合 种植业 饲料 渔业 林业 "
        "家用电器 家居用品 服饰 纺织 日用化工 文教休闲 百货 超市连锁 电器连锁 商贸代理 其他商业 批发业 商品城 酒店餐饮 旅游景点 旅游服务 "
        "食品饮料 汽车 农林牧渔 商贸零售 商业贸易 纺织服饰 纺织服装 轻工制造 社会服务 休闲服务 美容护理"),
    "technology": "元器件 半导体 软件服务 IT设备 通信设备 互联网 电子 计算机",
    "healthcare": "医疗保健 化学制药 生物制药 中成药 医药商业 医药生物",
    "industrial": (
        "电气设备 电器仪表 专用机械 机械基件 机床制造 工程机械 化工机械 农用机械 轻工机械 纺织机械 运输设备 航空 船舶 建筑工程 装修装饰 环境保护 "
        "仓储物流 港口 公共交通 公路 路桥 铁路 机场 空运 水运 "
        "电力设备 机械设备 建筑装饰 交通运输 国防军工 环保"),
    "materials": (
        "化工原料 农药化肥 染料涂料 化纤 塑料 橡胶 玻璃 陶瓷 水泥 其他建材 矿物制品 造纸 广告包装 普钢 特种钢 钢加工 铝 铜 铅锌 黄金 小金属 "
        "基础化工 化工 建筑材料 钢铁 有色金属"),
    "energy": "煤炭开采 焦炭加工 石油开采 石油加工 石油贸易 煤炭 采掘 石油石化",
    "utilities": "火力发电 水力发电 新型电力 供气供热 水务 公用事业",
    "real_estate": "全国地产 区域地产 房产服务 园区开发 房地产",
    "telecom": "电信运营 影视音像 出版业 通信 传媒",
    "other": "综合类 综合",
}
_ENGLISH: dict[str, tuple[str, ...]] = {
    "finance": ("financials", "financial services", "financial"),
    "consumer": ("consumer discretionary", "consumer staples", "consumer cyclical", "consumer defensive"),
    "technology": ("information technology", "technology"),
    "healthcare": ("health care", "healthcare"),
    "industrial": ("industrials",),
    "materials": ("materials", "basic materials"),
    "energy": ("energy",),
    "utilities": ("utilities",),
    "real_estate": ("real estate",),
    "telecom": ("communication services", "telecommunication services"),
    "other": ("conglomerates",),
}
INDUSTRY_OF: dict[str, str] = {
    **{word.lower(): industry for industry, words in _CHINESE.items() for word in words.split()},
    **{word: industry for industry, words in _ENGLISH.items() for word in words},
    **{industry: industry for industry in INDUSTRIES},
}


def industry_of(label: str) -> str | None:
    """The industry a classification's word stands for, or None when the word is not known."""
    return INDUSTRY_OF.get(unicodedata.normalize("NFKC", label).strip().lower())


def classify(labels: Mapping[str, str]) -> tuple[dict[str, str], Counter[str]]:
    """(symbol -> industry, unknown word -> how many symbols). Unknown words go to ``other``; empty ones are left out."""
    found: dict[str, str] = {}
    unknown: Counter[str] = Counter()
    for symbol, label in labels.items():
        if not label.strip():
            continue
        industry = industry_of(label)
        if industry is None:
            unknown[label.strip()] += 1
        found[symbol] = industry or OTHER
    return found, unknown
