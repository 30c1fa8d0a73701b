"""Text in many scripts, and mixed lines: what layout of text must get right."""

#: Joined letters, marks on letters, conjuncts, signs that change places, right to left.
SCRIPTS = {
    "arabic": "السلام عليكم ورحمة الله وبركاته لا إله",
    "persian": "زبان فارسی شیرین است و پژوهش",
    "hebrew": "בְּרֵאשִׁית בָּרָא שלום",
    "syriac": "ܫܠܡܐ ܥܠܝܟܘܢ",
    "nko": "ߒߞߏ ߦߋ߫ ߞߊ߲ ߠߋ߬",
    "devanagari": "नमस्ते क्षत्रिय हिन्दी में",
    "tamil": "வணக்கம் தமிழ் கொடுப்பது",
    "bengali": "বাংলা ভাষা ক্ষুদ্র",
    "telugu": "తెలుగు భాష స్త్రీ",
    "thai": "สวัสดีครับ ที่นี่ น้ำ",
    "khmer": "សួស្តី ខ្មែរ",
    "burmese": "မြန်မာဘာသာ ကမ္ဘာ",
    "hangul": "한국어 각 e\u0301a\u0308",
    "latin": "office fi ffi AV To naïve",
}
MIXED = [
    "The quick brown ثعلب fox",
    "The quick (brown قال) fox: 12%",
    "قال The quick brown fox ثم جلس.",
    "def show_value(d): return '%d' % d  # שלום",
    'print("שלום %d" % x)',
    "שלום (hello) עולם, 3.14 ועוד.",
    "في عام 2024، بلغ 12.5% من GDP (الناتج).",
    "price: ₪120 = 120 ש״ח",
    "a [ب] c {ד} e <ه>",
    "١٢٣ و 456 = ٥٧٩",
    "C++ هي لغة؛ Java أيضًا!",
    "x = أ + ب * (ج - 1)",
    "12:30 שעה 14:45-15:00",
    "http://example.org/שלום/a?b=ج&c=1",
    "A - א - B - ב - 1 - 2",
    "«سلام» said “שלום” (twice)",
    "हिन्दी और عربي और English",
    "日本語とعربيと한국어",
    "תל־אביב-יפו, Tel Aviv-Yafo (IL)",
    "\\frac{א}{ב} + $x^2$ → ∞",
]


def cut(text: str, sizes: list[int]) -> list[bytes]:
    """Text as tokens of so many bytes in turn, as tokenizers of bytes cut it: inside characters too."""
    data, tokens, place = text.encode(), [], 0
    while place < len(data):
        size = sizes[len(tokens) % len(sizes)]
        tokens.append(data[place : place + size])
        place += size
    return tokens
