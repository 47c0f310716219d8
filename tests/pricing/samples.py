"""Texts of about 2,000 characters in the kinds that models are really sent."""

import base64
import hashlib
import json

SIZE = 2_000


def _fill(paragraph: str) -> str:
    """Token density is local, so a repeated paragraph measures like a long text."""
    return (paragraph * (SIZE // len(paragraph) + 1))[:SIZE]


def _noise(size: int) -> bytes:
    """The same bytes on every run, with nothing to compress."""
    blocks = (hashlib.sha256(str(i).encode()).digest() for i in range(size // 32 + 1))
    return b"".join(blocks)[:size]


_ENGLISH = (
    "The harbour was quiet when the ferry came in, and only two people waited on the "
    "quay. One of them was reading a newspaper from the previous week; the other "
    "had brought a dog, which slept. Nobody had expected the weather to improve, so "
    "when the clouds parted over the lighthouse there was a moment of surprise, "
    'followed by the ordinary business of ropes, engines and luggage. "You\'re late," '
    "said the man with the newspaper. He didn't sound angry. The captain shrugged and "
    "explained that the tide had been against them since morning.\n\n"
)

_PLAIN = (
    "See the big red cow. The cow is in the sun, and she can eat the hay. Is it fun to be "
    "out all day? If you do not want to go by car, we can go on foot: it is on the way to "
    "the sea. He said he had a cat and a dog, and that they sit on a log by the lake. I "
    "was at home at ten, and at one I ran to get the bus.\n"
)

_PYTHON = '''\
class Inventory:
    """Count what is on the shelves, by article number."""

    def __init__(self, warehouse: str, *, capacity: int = 10_000) -> None:
        self.warehouse = warehouse
        self._stock: dict[str, int] = defaultdict(int)
        self._capacity = capacity

    def receive(self, article: str, quantity: int) -> None:
        if quantity <= 0:
            raise ValueError(f"cannot receive {quantity!r} of {article!r}")
        if sum(self._stock.values()) + quantity > self._capacity:
            raise CapacityExceeded(self.warehouse, self._capacity)
        self._stock[article] += quantity

    @property
    def is_empty(self) -> bool:
        return not any(count > 0 for count in self._stock.values())


async def fetch_all(urls: Iterable[str], timeout: float = 2.5) -> list[bytes]:
    async with ClientSession() as session:
        tasks = [asyncio.create_task(session.get(url)) for url in urls]
        return [await task for task in asyncio.as_completed(tasks, timeout=timeout)]

'''

_CHINESE = (
    "春天来的时候,河边的柳树总是最先变绿。住在附近的老人每天早上都会到公园里散步、"
    "打太极拳,然后坐在长椅上聊天。今年的雨水比往年多一些,所以农民们对收成很有信心。"
    "城市里的年轻人工作很忙,但是到了周末,他们也喜欢骑自行车去郊外看花。"
    "据气象部门介绍,未来三天本市将以多云天气为主,最高气温二十五摄氏度左右。"
    "人工智能技术的快速发展正在改变各行各业的生产方式,企业需要不断学习新的知识。\n"
)

_RUSSIAN = (
    "Поезд прибыл на станцию рано утром, когда город ещё спал. На перроне стояли только "
    "дежурный и старая женщина с корзиной яблок. Она продавала их каждый день, и пассажиры "
    "давно привыкли к её голосу. За зданием вокзала начиналась широкая улица, обсаженная "
    "липами, которая вела к реке. В прошлом году здесь построили новый мост, и теперь до "
    "соседней деревни можно доехать за двадцать минут. Правительство обещает отремонтировать "
    "дорогу, однако жители не очень верят этим обещаниям.\n"
)

_ARABIC = (
    "وصل القطار إلى المحطة في الصباح الباكر بينما كانت المدينة لا تزال نائمة. كان هناك رجل "
    "عجوز يبيع الخبز والشاي للمسافرين، ويحدثهم عن أخبار القرية. في السنوات الأخيرة تغيرت "
    "أشياء كثيرة، فقد بنيت مدرسة جديدة بالقرب من السوق، وأصبح الطريق إلى الجبل أسهل مما كان "
    "عليه من قبل. تقول الحكومة إنها سوف تواصل العمل على تحسين الخدمات العامة في المنطقة.\n"
)

_HEBREW = (
    "הרכבת הגיעה לתחנה מוקדם בבוקר, כשהעיר עדיין ישנה. על הרציף עמדו רק שני אנשים, ואחד "
    "מהם קרא עיתון מהשבוע שעבר. בשנים האחרונות נבנו כאן בית ספר חדש וגשר רחב מעל הנהר, "
    "והתושבים מקווים שגם הכביש ישופץ בקרוב. הממשלה הודיעה כי תמשיך להשקיע בתחבורה הציבורית.\n"
)

_HINDI = (
    "सुबह की पहली गाड़ी जब स्टेशन पर पहुँची तब पूरा शहर सो रहा था। प्लेटफ़ॉर्म पर केवल एक बूढ़ा "
    "आदमी चाय बेच रहा था और यात्रियों से बातें कर रहा था। पिछले कुछ वर्षों में यहाँ बहुत कुछ बदल गया "
    "है। गाँव के पास एक नया विद्यालय बना है और नदी पर पुल भी तैयार हो गया है। सरकार ने कहा है कि "
    "आने वाले समय में सड़कों की मरम्मत की जाएगी।\n"
)

_JAPANESE = (
    "朝早く駅に着くと、町はまだ静かだった。ホームには新聞を読んでいる男の人と、犬を連れた女の人"
    "しかいなかった。最近、川の向こうに新しい図書館ができたので、週末になると大勢の学生がそこで"
    "勉強している。天気予報によると、明日は晴れ時々曇り、最高気温は二十五度になるそうです。"
    "ソフトウェアのアップデートをインストールしてから、コンピューターを再起動してください。\n"
)

_KOREAN = (
    "이른 아침 기차가 역에 도착했을 때 도시는 아직 잠들어 있었다. 승강장에는 신문을 읽는 남자와 "
    "강아지를 데리고 온 여자만 서 있었다. 최근 강 건너편에 새로운 도서관이 문을 열어서 주말마다 "
    "많은 학생들이 그곳에서 공부한다. 기상청에 따르면 내일은 대체로 맑고 낮 최고 기온은 이십오 도까지 "
    "오를 것으로 예상된다. 소프트웨어를 업데이트한 뒤 컴퓨터를 다시 시작해 주십시오.\n"
)

_GERMAN = (
    "Als der Zug frühmorgens in den Bahnhof einfuhr, schlief die Stadt noch. Auf dem "
    "Bahnsteig standen nur der Fahrdienstleiter und eine ältere Frau, die Äpfel verkaufte. "
    "Im vergangenen Jahr wurde eine neue Brücke über den Fluss gebaut, sodass man das "
    "Nachbardorf jetzt in zwanzig Minuten erreicht. Die Bundesregierung kündigte an, "
    "die Straßenverkehrsordnung zu überarbeiten und die Geschwindigkeitsbegrenzung auf "
    "Landstraßen zu überprüfen.\n"
)

_FRENCH = (
    "Le train est entré en gare très tôt, alors que la ville dormait encore. Sur le quai, "
    "il n'y avait qu'un vieil homme qui vendait du café et des journaux de la veille. "
    "L'année dernière, on a construit un nouveau pont, et le village voisin n'est plus qu'à "
    "vingt minutes. Le gouvernement a annoncé qu'il réparerait la route, mais les habitants "
    "n'y croient guère.\n"
)

_POLISH = (
    "Pociąg wjechał na stację wcześnie rano, kiedy miasto jeszcze spało. Na peronie stała "
    "tylko starsza kobieta, która sprzedawała jabłka podróżnym. W zeszłym roku zbudowano tu "
    "nowy most i teraz do sąsiedniej wsi można dojechać w dwadzieścia minut. Rząd obiecuje "
    "wyremontować drogę, jednak mieszkańcy nie bardzo wierzą w te zapewnienia.\n"
)

_TURKISH = (
    "Tren sabahın erken saatlerinde istasyona vardığında şehir hâlâ uyuyordu. Peronda "
    "yalnızca gazete okuyan bir adam ve köpeğiyle bekleyen yaşlı bir kadın vardı. Geçen yıl "
    "nehrin üzerine yeni bir köprü yapıldı, böylece komşu köye yirmi dakikada gidilebiliyor. "
    "Hükümet yolun onarılacağını açıkladı, ancak köylüler buna pek inanmıyor.\n"
)

_VIETNAMESE = (
    "Khi chuyến tàu đến ga vào sáng sớm, cả thành phố vẫn còn đang ngủ. Trên sân ga chỉ có "
    "một người đàn ông đọc báo và một bà cụ bán trái cây cho hành khách. Năm ngoái người ta "
    "đã xây một cây cầu mới qua sông, nên bây giờ đi sang làng bên chỉ mất hai mươi phút. "
    "Chính phủ cho biết sẽ tiếp tục sửa chữa đường sá trong thời gian tới.\n"
)

_GREEK = (
    "Το τρένο έφτασε στον σταθμό νωρίς το πρωί, όταν η πόλη κοιμόταν ακόμη. Στην αποβάθρα "
    "στεκόταν μόνο μια ηλικιωμένη γυναίκα που πουλούσε μήλα στους ταξιδιώτες. Πέρυσι χτίστηκε "
    "μια καινούργια γέφυρα πάνω από το ποτάμι και τώρα φτάνει κανείς στο διπλανό χωριό σε "
    "είκοσι λεπτά.\n"
)

_THAI = (
    "เมื่อรถไฟมาถึงสถานีในตอนเช้าตรู่ เมืองทั้งเมืองยังคงหลับใหลอยู่ บนชานชาลามีเพียงชายชราคนหนึ่ง"
    "ที่ขายกาแฟให้กับผู้โดยสาร ปีที่แล้วมีการสร้างสะพานใหม่ข้ามแม่น้ำ ทำให้เดินทางไปหมู่บ้านข้างเคียง"
    "ได้ภายในยี่สิบนาที\n"
)

_MARKDOWN = """\
## Installing the exporter

1. Download the archive and **check its signature**.
2. Unpack it to `/opt/exporter` (or anywhere else).
3. Run `exporter --config config.toml --verbose`.

| Option      | Default | Meaning                          |
|-------------|---------|----------------------------------|
| `--port`    | 9184    | where metrics are served         |
| `--timeout` | 30s     | how long a *scrape* may take     |

> **Note:** see [the reference](https://example.org/docs/reference#options) for more.

```bash
curl -s http://localhost:9184/metrics | grep '^exporter_'
```

- [x] TLS support
- [ ] Windows service

"""

_MINIFIED_JS = (
    'var e=document.createElement("div");function t(n,r){return n&&n.length?n.map('
    "(function(e,t){return r(e,t)||null})):[]}!function(){for(var o=0,i=[];o<16;++o)"
    'i.push((o<10?"0":"")+o.toString(16));window.$x={a:t,b:i,c:function(e){return e>>>0}}'
    "}();const{q:a,w:s}=JSON.parse(localStorage.getItem('kv')||'{}');if(a!==s)throw new "
    "Error(`bad ${a}`);export default{fn:(e,...t)=>e.apply(void 0,t),z:/^[a-z_$][\\w$]*$/i};"
)

_LOG = (
    "2026-03-14T09:26:53.589Z INFO  [worker-7] c.e.q.Consumer - polled 128 records in 42ms "
    "(lag=9031, partition=3)\n2026-03-14T09:26:54.001Z WARN  [http-nio-8080-exec-12] "
    "c.e.w.RequestFilter - 504 GET /api/v2/orders/98231?expand=items 30002ms "
    "client=10.41.7.203\nTraceback (most recent call last):\n"
    '  File "/srv/app/queue/consumer.py", line 214, in _poll\n'
    "    raise TimeoutError(0x7f3a9c00b2d0)\n"
)

_EMOJI = "Great work! 🎉🚀 See you soon 😀👍🏽 family 👨‍👩‍👧‍👦 flags 🇩🇪🇯🇵 ❤️🔥✨🙏😂🤣🥳 ok? 🧑🏾‍💻⚙️\n"

_SQL = (
    "SELECT c.id, c.name, COUNT(o.id) AS orders, SUM(o.total_cents) / 100.0 AS revenue\n"
    "FROM customers AS c LEFT JOIN orders AS o ON o.customer_id = c.id\n"
    "WHERE o.created_at >= '2026-01-01' AND c.country_code IN ('DE', 'AT', 'CH')\n"
    "GROUP BY c.id, c.name HAVING COUNT(o.id) > 3 ORDER BY revenue DESC LIMIT 50;\n\n"
)

_HTML = (
    '<div class="card card--wide" id="p-1042" data-sku="AX-9931"><a href="/shop/item/1042'
    '?ref=home&amp;utm_source=mail"><img src="/static/img/1042@2x.webp" alt="Desk lamp"'
    ' width="320" height="240" loading="lazy"></a><h3 class="card__title">Desk lamp</h3>'
    '<span class="price">&euro;&nbsp;39.90</span></div>\n'
)


def _records() -> list[dict[str, object]]:
    cities = ("Lisbon", "Osaka", "Nairobi", "Quito")
    return [
        {
            "id": 10_000 + 37 * i,
            "city": cities[i % 4],
            "lat": round(-12.5 + i * 3.17, 4),
            "active": i % 3 == 0,
            "tags": ["a1", f"zone-{i}"],
            "updated_at": f"2026-0{i % 9 + 1}-1{i % 10}T08:{i + 10}:00Z",
            "note": None,
        }
        for i in range(24)
    ]


def _uuids() -> str:
    digits = _noise(SIZE).hex()
    return "\n".join(
        f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"
        for h in (digits[i : i + 32] for i in range(0, SIZE * 2, 32))
    )


def _csv() -> str:
    numbers = (int.from_bytes(_noise(4 * 400)[i : i + 4]) for i in range(0, 1600, 4))
    cells = [f"{n % 100_000 / 100:.2f}" for n in numbers]
    return "\n".join(",".join(cells[i : i + 8]) for i in range(0, 400, 8))


TOOL_SCHEMA: dict[str, object] = {
    "type": "function",
    "function": {
        "name": "search_flights",
        "description": "Find flights between two airports on a given day.",
        "parameters": {
            "type": "object",
            "properties": {
                "origin": {"type": "string", "description": "IATA code"},
                "destination": {"type": "string", "description": "IATA code"},
                "date": {"type": "string", "format": "date"},
                "max_stops": {"type": "integer", "minimum": 0, "default": 1},
                "cabin": {"type": "string", "enum": ["economy", "business"]},
            },
            "required": ["origin", "destination", "date"],
        },
    },
}

TOOL_ARGS: dict[str, object] = {
    "origin": "LIS",
    "destination": "KIX",
    "date": "2026-05-14",
    "max_stops": 1,
}
TOOL_RESULT = (
    '[{"flight": "AF 1125", "stops": 1, "price": "912.40 EUR", "depart": "06:15"}]'
)

# The rows of the measured table that the estimate must keep within one to two times.
CORE: dict[str, str] = {
    "english": _fill(_ENGLISH),
    "python": _fill(_PYTHON),
    "json": json.dumps(_records(), indent=2)[:SIZE],
    "chinese": _fill(_CHINESE)[:1000],
    "russian": _fill(_RUSSIAN),
    "base64": base64.b64encode(_noise(SIZE)).decode()[:SIZE],
    "tool call and result": f"search_flights{json.dumps(TOOL_ARGS)}{TOOL_RESULT}",
    "tool schema": json.dumps(TOOL_SCHEMA, separators=(",", ":")),
}

MORE: dict[str, str] = {
    "plain words": _fill(_PLAIN),
    "json compact": json.dumps(_records(), separators=(",", ":"))[:SIZE],
    "arabic": _fill(_ARABIC),
    "hebrew": _fill(_HEBREW),
    "hindi": _fill(_HINDI),
    "thai": _fill(_THAI),
    "greek": _fill(_GREEK),
    "japanese": _fill(_JAPANESE),
    "korean": _fill(_KOREAN),
    "german": _fill(_GERMAN),
    "french": _fill(_FRENCH),
    "polish": _fill(_POLISH),
    "turkish": _fill(_TURKISH),
    "vietnamese": _fill(_VIETNAMESE),
    "markdown": _fill(_MARKDOWN),
    "minified js": _fill(_MINIFIED_JS),
    "log": _fill(_LOG),
    "sql": _fill(_SQL),
    "html": _fill(_HTML),
    "hex": _noise(SIZE).hex()[:SIZE],
    "hex upper": _noise(SIZE).hex().upper()[:SIZE],
    "base64url": base64.urlsafe_b64encode(_noise(SIZE)).decode()[:SIZE],
    "uuids": _uuids()[:SIZE],
    "csv": _csv()[:SIZE],
    "digits": "".join(str(b) for b in _noise(SIZE))[:SIZE],
    "emoji": _fill(_EMOJI),
    "spaces": " " * SIZE,
    "indented": _fill("\n        \n\n            x\t\t\n"),
    "newlines": "\n" * SIZE,
    "one letter": "a" * SIZE,
    "rule": "-" * SIZE,
    "punctuation": _fill("!@#$%^&*()_+{}|:<>?-=[];',./~`\\"),
    "shouting": _fill(_ENGLISH.upper()),
}
