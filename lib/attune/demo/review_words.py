"""Phrases of English and Chinese reviews: what people say of each aspect, and how they open and close."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Phrases:
    """Phrases of one language. Openings and closings are keyed by tone, from 1 (angry) to 5 (delighted).

    ``{item}`` stands for the kind of item. ``joiner`` goes between sentences; a body
    below ``shortest`` characters gets one more.
    """

    openings: dict[int, tuple[str, ...]]
    closings: dict[int, tuple[str, ...]]
    praise: dict[str, tuple[str, ...]]
    complaints: dict[str, tuple[str, ...]]
    asides: tuple[str, ...]
    but: tuple[str, ...]
    headlines: dict[int, tuple[str, ...]]
    joiner: str
    shortest: int


ENGLISH = Phrases(
    openings={
        1: (
            "Very disappointed with this {item}.", "I want my money back.", "What a waste of money.",
            "Broke within a week.", "Do not buy this {item}.", "I really wanted to love this {item}, but no.",
            "Worst {item} I have owned.", "I regret ordering this {item}.", "This {item} went straight back.",
        ),
        2: (
            "Not what I hoped for.", "The {item} looks nice in the pictures, less so in real life.",
            "I expected more from this {item}.", "Rather let down by this {item}.",
            "It does the job, barely.", "Would have been good if it had lasted.", "I would not order it again.",
        ),
        3: (
            "It is okay, nothing special.", "An average {item}.", "Mixed feelings about this {item}.",
            "Not bad, not great.", "Some good, some bad.", "The {item} is fine for now.",
            "I am in two minds about it.",
        ),
        4: (
            "Good {item} overall.", "Quite happy with this {item}.", "A solid {item}.", "Pleasantly surprised.",
            "Nice {item}, with one small flaw.", "Nearly perfect.", "I cannot complain.",
        ),
        5: (
            "I love this {item}!", "Exactly what I was looking for.", "Best {item} I have ever had.",
            "Could not be happier.", "Wonderful {item}.", "Even better than I expected.",
            "I was sceptical at first, but this {item} won me over.", "Bought a second {item} at once.",
            "Never had a better one.",
        ),
    },
    closings={
        1: (
            "Avoid.", "Returned it the same day.", "Never again.", "Save your money.", "One star is too many.",
            "The shop did not even answer me.",
        ),
        2: (
            "I will look for something else.", "Two stars for the idea.", "Probably sending it back.",
            "Only buy it on sale.", "Not worth the wait.",
        ),
        3: ("You get what you pay for.", "It will do.", "Three stars from me.", "Might keep it, might not.", "Fair enough."),
        4: ("Would buy again.", "Happy to keep it.", "Recommended, with that in mind.", "Four stars.", "Good value all in all."),
        5: (
            "Highly recommended.", "Would not hesitate to buy it again.", "Five stars.", "Thank you!",
            "My whole family wants one now.", "Do not think twice.",
        ),
    },
    praise={
        "battery": ("The battery lasts for days.", "Charging is quick and the battery holds.", "Battery life is excellent."),
        "colour": ("The colour is just like the photo.", "Lovely, warm colour.", "The colour goes with everything."),
        "comfort": ("So comfortable from the first minute.", "Comfortable all day long.", "It feels soft and pleasant."),
        "delivery": ("It arrived two days early.", "Delivery was fast and friendly.", "Shipping took no time at all."),
        "instructions": ("The instructions are clear.", "It took five minutes to set up.", "Setting it up was child's play."),
        "noise": ("It runs without a sound.", "Wonderfully quiet.", "No hum, no hiss."),
        "packaging": ("It came beautifully packed.", "Packed well and without plastic.", "The box alone makes a gift."),
        "price": ("Great value for the price.", "Worth every penny.", "Hard to find this cheaper elsewhere."),
        "quality": ("The quality is outstanding.", "Well made and sturdy.", "The material feels solid.", "Beautiful finish."),
        "size": ("It fits perfectly.", "The size is just right.", "True to size."),
        "smell": ("It smells lovely.", "No chemical smell at all.", "A fresh and gentle scent."),
    },
    complaints={
        "battery": ("The battery dies after an hour.", "It will not hold a charge.", "Battery life is a joke."),
        "colour": ("The colour looks nothing like the photo.", "The colour faded after one wash.", "A dull, washed-out colour."),
        "comfort": ("It is uncomfortable after ten minutes.", "It pinches and rubs.", "Stiff and scratchy."),
        "delivery": ("Delivery took three weeks.", "It arrived late and without notice.", "The parcel got lost twice."),
        "instructions": ("The instructions make no sense.", "Half of the screws were missing.", "Setting it up took all evening."),
        "noise": ("It makes a loud humming noise.", "The rattle drives me mad.", "Far too loud at night."),
        "packaging": ("The box was crushed.", "It came loose in a huge carton.", "Badly packed, so it arrived scratched."),
        "price": ("Far too expensive for what it is.", "Overpriced.", "A week later it cost half as much."),
        "quality": ("It feels cheap and flimsy.", "It fell apart after a few days.", "Poor quality, the seams come undone."),
        "size": ("Much smaller than described.", "It runs far too small.", "The size given is plain wrong."),
        "smell": ("It has a strong chemical smell.", "The smell will not go away.", "It stinks of glue."),
    },
    asides=(
        "I bought it for my sister's flat.", "I have had it for a month now.", "It was a birthday present.",
        "My old one lasted ten years.", "I use it every day.", "We moved house last spring.",
        "I ordered it with two other things.", "My partner chose it.", "I read many reviews before.",
        "It stands in the living room.", "I am not an expert.", "This is my second order here.",
    ),
    but=("However, ", "On the other hand, ", "That said, ", "But "),
    headlines={
        1: ("Terrible", "Do not buy", "Broken", "So disappointed", "Waste of money"),
        2: ("Not great", "Expected more", "Disappointing", "Meh"),
        3: ("Okay", "Average", "Mixed feelings", "It is fine"),
        4: ("Good", "Happy with it", "Nice one", "Almost perfect"),
        5: ("Perfect", "Love it", "Wonderful", "Highly recommended", "Great buy"),
    },
    joiner=" ",
    shortest=24,
)  # fmt: skip

CHINESE = Phrases(
    openings={
        1: ("非常失望。", "千万别买。", "用了不到一周就坏了。", "这是我买过最差的{item}。", "浪费钱。", "后悔下单。"),
        2: ("没有想象中好。", "图片好看，实物一般般。", "有点失望。", "对这款{item}期望太高了。", "不会再买第二次。"),
        3: ("一般般吧。", "还行，没什么特别。", "中规中矩的{item}。", "有好有坏。", "凑合能用。"),
        4: ("整体不错的{item}。", "挺满意的。", "比较值得买。", "没什么可挑剔的。", "小瑕疵，不影响使用。"),
        5: (
            "太喜欢这款{item}了！",
            "超出预期。",
            "非常满意。",
            "买过最好的{item}。",
            "本来还担心，结果惊喜。",
            "已经回购第二次。",
        ),
    },
    closings={
        1: ("已经退货。", "再也不会来了。", "客服也不理人。", "差评。"),
        2: ("考虑退货。", "打折再买吧。", "不太推荐。"),
        3: ("一分钱一分货。", "先用着吧。", "给三星。"),
        4: ("会再来。", "总的来说推荐。", "给四星。"),
        5: ("强烈推荐。", "五星好评。", "家人也很喜欢。", "下次还买。"),
    },
    praise={
        "battery": ("电池很耐用。", "充电快，续航长。"),
        "colour": ("颜色和图片一样。", "颜色很漂亮。"),
        "comfort": ("非常舒服。", "手感柔软。"),
        "delivery": ("发货很快，第二天就到了。", "物流给力。"),
        "instructions": ("说明书很清楚。", "安装很简单。"),
        "noise": ("声音很小，很安静。", "完全没有噪音。"),
        "packaging": ("包装很精美。", "包装严实，没有破损。"),
        "price": ("性价比很高。", "价格实惠。"),
        "quality": ("质量很好，做工精细。", "材质结实。"),
        "size": ("尺寸刚刚好。", "大小合适。"),
        "smell": ("味道很好闻。", "没有异味。"),
    },
    complaints={
        "battery": ("电池一会儿就没电了。", "续航太差。"),
        "colour": ("颜色和图片差太多。", "洗一次就掉色。"),
        "comfort": ("用着很不舒服。", "又硬又扎人。"),
        "delivery": ("等了三个星期才到。", "物流太慢。"),
        "instructions": ("说明书看不懂。", "少了好几个螺丝。"),
        "noise": ("噪音特别大。", "晚上吵得睡不着。"),
        "packaging": ("包装破了。", "包装太随便，到手有划痕。"),
        "price": ("太贵了，不值这个价。", "买完就降价。"),
        "quality": ("质量太差，几天就散架了。", "做工粗糙。"),
        "size": ("尺寸偏小很多。", "大小和描述不符。"),
        "smell": ("有一股刺鼻的味道。", "味道很久散不掉。"),
    },
    asides=("给妈妈买的。", "用了一个月了。", "朋友推荐的。", "每天都在用。", "第二次在这家店买。", "搬家的时候买的。"),
    but=("不过，", "但是，", "只是"),
    headlines={
        1: ("太差了", "别买", "失望"),
        2: ("不太好", "一般偏差", "有点失望"),
        3: ("一般", "还行", "凑合"),
        4: ("不错", "满意", "挺好"),
        5: ("完美", "太棒了", "非常喜欢"),
    },
    joiner="",
    shortest=8,
)

CHINESE_NOUNS = {
    "Home > Lighting": "灯", "Home > Bedding": "床品", "Home > Kitchen": "厨具", "Home > Decoration": "摆件",
    "Garden > Outdoor Living": "户外用品", "Electronics > Audio": "音响", "Electronics > Computer Accessories": "电脑配件",
    "Fashion > Bags": "包", "Fashion > Shoes": "鞋", "Fashion > Jewellery": "首饰", "Sport > Fitness": "健身器材",
    "Sport > Camping": "露营装备", "Toys > Games and Learning": "玩具", "Beauty > Skin Care": "护肤品",
    "Office > Stationery": "文具", "Pets > Pet Supplies": "宠物用品",
}  # fmt: skip
