"""Words of the demo shop: categories with their nouns, materials, features and prices; styles shared by all."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """One leaf of the catalogue tree, with the words and prices of its items."""

    path: str
    nouns: tuple[str, ...]
    materials: tuple[str, ...]
    features: tuple[str, ...]
    uses: tuple[str, ...]
    brands: tuple[str, ...]
    median_price: float
    aspects: tuple[str, ...]
    bought_again: float = 0.05
    """Probability that a purchase is followed by another of the same item."""


STYLES: dict[str, tuple[str, ...]] = {
    "minimalist": ("Minimalist", "Simple", "Sleek"),
    "vintage": ("Vintage", "Retro", "Antique"),
    "rustic": ("Rustic", "Farmhouse", "Country"),
    "industrial": ("Industrial", "Loft", "Workshop"),
    "bohemian": ("Bohemian", "Boho", "Ethnic"),
    "nordic": ("Scandinavian", "Nordic", "Danish"),
    "coastal": ("Coastal", "Nautical", "Beach"),
    "floral": ("Floral", "Botanical", "Garden"),
    "luxury": ("Luxury", "Elegant", "Glamorous"),
    "playful": ("Playful", "Whimsical", "Quirky"),
}

COLOURS = ("Black", "White", "Grey", "Navy", "Green", "Red", "Sand", "Blue", "Cream", "Rose")

_HOME = ("quality", "size", "colour", "delivery", "packaging", "price")
_POWERED = ("battery", "quality", "instructions", "noise", "price", "delivery")
_WORN = ("size", "comfort", "quality", "colour", "price", "delivery")

CATEGORIES: tuple[Category, ...] = (
    Category(
        "Home > Lighting",
        ("Bedside Lamp", "Floor Lamp", "Pendant Light", "Wall Sconce", "Lantern", "String Lights"),
        ("Oak", "Brass", "Glass", "Rattan", "Concrete"),
        ("Dimmer", "USB Port", "Linen Shade", "Foot Switch", "Warm LED"),
        ("reading in bed", "a dark hallway", "long winter evenings"),
        ("Lumora", "Halden", "Brightwell", "Nook & Beam"),
        48.0,
        (*_HOME, "instructions"),
    ),
    Category(
        "Home > Bedding",
        ("Duvet Cover", "Bed Throw", "Pillow Case", "Fitted Sheet", "Quilt", "Mattress Topper"),
        ("Cotton", "Linen", "Bamboo", "Wool", "Silk"),
        ("Button Closure", "Deep Pockets", "Tassels", "Double Stitching", "Cooling Weave"),
        ("a good night's sleep", "hot summers", "the guest room"),
        ("Dunmere", "Softfield", "Moonloom", "Lys & Co"),
        55.0,
        (*_HOME, "comfort", "smell"),
    ),
    Category(
        "Home > Kitchen",
        ("Frying Pan", "Coffee Mug Set", "Chopping Board", "Teapot", "Storage Jar", "Mixing Bowl"),
        ("Cast Iron", "Stoneware", "Acacia", "Copper", "Enamel"),
        ("Lid", "Pour Spout", "Non-Stick Base", "Wooden Handle", "Cork Stopper"),
        ("Sunday breakfasts", "small kitchens", "baking with children"),
        ("Potter's Row", "Kastell", "Hearthly", "Mira Kitchen"),
        32.0,
        (*_HOME, "smell"),
    ),
    Category(
        "Home > Decoration",
        ("Wall Clock", "Picture Frame", "Vase", "Cushion", "Candle Holder", "Mirror"),
        ("Ceramic", "Velvet", "Driftwood", "Marble", "Jute"),
        ("Silent Movement", "Hanging Strap", "Gold Rim", "Hidden Zip", "Beaded Edge"),
        ("a bare wall", "the mantelpiece", "a housewarming gift"),
        ("Casa Verra", "Fennick", "Oriel House", "Petal & Pine"),
        29.0,
        _HOME,
    ),
    Category(
        "Garden > Outdoor Living",
        ("Deck Chair", "Plant Pot", "Bird Feeder", "Watering Can", "Fire Pit", "Hammock"),
        ("Teak", "Terracotta", "Galvanised Steel", "Willow", "Canvas"),
        ("Drainage Hole", "Folding Frame", "Carry Bag", "Rain Cover", "Spark Guard"),
        ("balconies", "late summer nights", "keeping birds company"),
        ("Greenacre", "Thornbury", "Wild Terrace", "Sunholt"),
        60.0,
        (*_HOME, "instructions"),
    ),
    Category(
        "Electronics > Audio",
        ("Headphones", "Portable Speaker", "Earbuds", "Record Player", "Alarm Radio", "Soundbar"),
        ("Walnut", "Aluminium", "Leather", "Mesh", "Titanium"),
        ("Noise Cancelling", "Bluetooth", "Charging Case", "Deep Bass", "Sleep Timer"),
        ("commuting", "the home office", "garden parties"),
        ("Sonaris", "Echohaus", "Pulsewerk", "Auric"),
        95.0,
        (*_POWERED, "comfort"),
    ),
    Category(
        "Electronics > Computer Accessories",
        ("Keyboard", "Wireless Mouse", "Laptop Stand", "Webcam", "Docking Station", "Monitor Arm"),
        ("Aluminium", "Bamboo", "Carbon", "Silicone", "Tempered Glass"),
        ("Backlight", "Quiet Keys", "USB-C Hub", "Privacy Shutter", "Cable Tidy"),
        ("working from home", "long gaming nights", "tidy desks"),
        ("Keymont", "Bitfold", "Desklane", "Nexora"),
        64.0,
        _POWERED,
    ),
    Category(
        "Fashion > Bags",
        ("Backpack", "Tote Bag", "Crossbody Bag", "Wallet", "Weekend Bag", "Laptop Sleeve"),
        ("Leather", "Canvas", "Suede", "Recycled Nylon", "Cork"),
        ("Padded Straps", "Hidden Pocket", "Magnetic Clasp", "RFID Lining", "Shoulder Strap"),
        ("city walks", "weekend trips", "carrying it all to work"),
        ("Marlow & Finch", "Trekka", "Valise", "Oldgate"),
        72.0,
        (*_WORN, "smell"),
    ),
    Category(
        "Fashion > Shoes",
        ("Ankle Boots", "Sneakers", "Sandals", "Loafers", "Slippers", "Rain Boots"),
        ("Leather", "Suede", "Rubber", "Wool Felt", "Canvas"),
        ("Memory Foam", "Side Zip", "Grip Sole", "Arch Support", "Fleece Lining"),
        ("rainy mornings", "long days on foot", "lazy Sundays at home"),
        ("Stridewell", "Corvane", "Pedder", "Alta Moda"),
        78.0,
        _WORN,
    ),
    Category(
        "Fashion > Jewellery",
        ("Necklace", "Bracelet", "Stud Earrings", "Ring", "Brooch", "Wrist Watch"),
        ("Silver", "Gold-Plated", "Pearl", "Rose Quartz", "Beaded"),
        ("Gift Box", "Adjustable Chain", "Engraving", "Safety Catch", "Leather Strap"),
        ("an anniversary", "a black dress", "everyday wear"),
        ("Aurelie", "Silvan", "Bel Ora", "Tidepool"),
        45.0,
        ("quality", "size", "colour", "packaging", "price", "delivery"),
    ),
    Category(
        "Sport > Fitness",
        ("Yoga Mat", "Dumbbell Set", "Resistance Bands", "Foam Roller", "Skipping Rope", "Running Belt"),
        ("Cork", "Neoprene", "Natural Rubber", "Cast Iron", "Jute"),
        ("Carry Strap", "Non-Slip Surface", "Alignment Lines", "Ball Bearings", "Reflective Trim"),
        ("morning stretches", "training at home", "runs after dark"),
        ("Corefit", "Kinetta", "Asana Lane", "Ironroot"),
        34.0,
        ("quality", "size", "comfort", "smell", "price", "delivery"),
    ),
    Category(
        "Sport > Camping",
        ("Tent", "Sleeping Bag", "Camp Stove", "Head Torch", "Folding Table", "Water Bottle"),
        ("Ripstop Nylon", "Down", "Stainless Steel", "Aluminium", "Canvas"),
        ("Taped Seams", "Stuff Sack", "Wind Shield", "Red Light Mode", "Carry Handle"),
        ("festivals", "cold nights in the hills", "family holidays by the lake"),
        ("Norrvik", "Fellside", "Camp Orro", "Timberline"),
        85.0,
        ("quality", "size", "instructions", "packaging", "price", "delivery"),
    ),
    Category(
        "Toys > Games and Learning",
        ("Building Blocks", "Puzzle", "Board Game", "Plush Bear", "Toy Train", "Craft Kit"),
        ("Beech Wood", "Cardboard", "Organic Cotton", "Felt", "Magnetic"),
        ("Storage Box", "Picture Guide", "Large Pieces", "Travel Pouch", "Washable Cover"),
        ("rainy afternoons", "curious toddlers", "family evenings"),
        ("Tinkertree", "Bumblewood", "Little Comet", "Playhaven"),
        27.0,
        ("quality", "size", "instructions", "packaging", "price", "delivery"),
    ),
    Category(
        "Beauty > Skin Care",
        ("Face Cream", "Body Lotion", "Hand Soap", "Bath Salts", "Lip Balm", "Facial Oil"),
        ("Shea Butter", "Lavender", "Rosehip", "Oat", "Aloe"),
        ("Pump Dispenser", "Sun Protection", "Refill Pouch", "Travel Size", "Vitamin E"),
        ("dry winter skin", "a quiet bath", "sensitive skin"),
        ("Verbena & Vale", "Puresse", "Oatly Fields", "Lumi Skin"),
        19.0,
        ("smell", "quality", "size", "packaging", "price", "delivery"),
        0.35,
    ),
    Category(
        "Office > Stationery",
        ("Notebook", "Fountain Pen", "Desk Organiser", "Planner", "Greeting Cards", "Pencil Case"),
        ("Recycled Paper", "Leather", "Brass", "Kraft", "Linen-Bound"),
        ("Elastic Band", "Dotted Pages", "Refill Cartridges", "Pen Loop", "Ribbon Marker"),
        ("busy weeks", "morning pages", "handwritten letters"),
        ("Quillworth", "Papier Nord", "Inkfield", "Folio & Son"),
        16.0,
        ("quality", "size", "colour", "packaging", "price", "delivery"),
        0.25,
    ),
    Category(
        "Pets > Pet Supplies",
        ("Dog Bed", "Cat Tree", "Pet Bowl", "Dog Leash", "Scratching Post", "Pet Carrier"),
        ("Plush", "Sisal", "Bamboo", "Nylon", "Ceramic"),
        ("Washable Cover", "Non-Slip Base", "Padded Handle", "Hanging Toy", "Side Pockets"),
        ("sleepy old dogs", "indoor cats", "trips to the vet"),
        ("Pawsworth", "Whiskerton", "Good Boy Lane", "Fluffet"),
        36.0,
        ("quality", "size", "smell", "comfort", "price", "delivery"),
    ),
)

NOUNS_PER_CATEGORY = 6
MATERIALS_PER_CATEGORY = 5
ASPECTS = tuple(sorted({aspect for category in CATEGORIES for aspect in category.aspects}))

COUNTRIES: tuple[tuple[str, float, str], ...] = (
    ("US", 0.22, "en"), ("GB", 0.18, "en"), ("DE", 0.09, "en"), ("FR", 0.07, "en"), ("CA", 0.07, "en"),
    ("AU", 0.06, "en"), ("NL", 0.04, "en"), ("CN", 0.14, "zh"), ("TW", 0.05, "zh"), ("HK", 0.04, "zh"),
    ("SG", 0.04, "zh"),
)  # fmt: skip
"""Country, share of the users, language of most of its reviews."""

DEVICES = ("mobile", "desktop", "tablet")
AGE_BANDS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
GENDERS = ("female", "male", "other", "unknown")
CHANNELS = ("email", "search_ad", "social_ad", "display", "push")
