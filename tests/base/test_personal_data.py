"""Personal data by form and check digit: the cases of both modules that this one replaced, each as good as the better."""

import pytest

from tolerate.base.personal_data import find_personal_data, mask_json, mask_personal_data


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("mail a.b+c@sub.example.com today", ["email"]),
        ("card 4111 1111 1111 1111", ["card"]),
        ("cards 4111-1111-1111-1111, 378282246310005", ["card", "card"]),
        ("order 4111 1111 1111 1112", []),
        ("order number 1234567890123456", []),
        ("GB82 WEST 1234 5698 7654 32", ["iban"]),
        ("GB82 WEST 1234 5698 7654 33", []),
        ("身份证 11010519491231002X", ["citizen"]),
        ("身份证 110105194912310021", []),
        ("手机 13800138000。", ["phone"]),
        ("138001380001 is longer", []),
        ("电话：010-62341234，邮箱：a@b.cn。", ["phone", "email"]),
        ("call +44 20 7946 0958 or (212) 555-0100", ["phone", "phone"]),
        ("+86 13912345678, +8613912345678 or +1 (555) 123-4567", ["phone", "phone", "phone"]),
        ("555 123 4567, (555) 123 4567, (555)123-4567 or 010 1234 5678", ["phone"] * 4),
        ("host 192.168.0.1, version 999.1.1.1", ["ip"]),
        ("ssn 078-05-1120, part 000-12-3456, part 900-12-3456", ["ssn"]),
        ("taxpayer 987-65-4321", ["ssn"]),
        ("worst area 990.5, texture 17.1, 3 of 1,200 in 2024-05-06", []),
        ("no data at all", []),
    ],
)
def test_personal_data_by_form_and_check_digit(text: str, kinds: list[str]) -> None:
    assert [piece.kind for piece in find_personal_data(text)] == kinds
    assert find_personal_data(mask_personal_data(text)) == []


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to ann@example.org or call 13912345678", "write to [email] or call [phone]"),
        ("GB82 WEST 1234 5698 7654 32.", "[iban]."),
        ("a@b.co.", "[email]."),
        ("10.0.0.1:80", "[ip]:80"),
        ("", ""),
    ],
)
def test_what_a_masked_text_reads_like(text: str, masked: str) -> None:
    assert mask_personal_data(text) == masked


def test_a_masked_json_is_json_still() -> None:
    """An address after a line break: masking the text of the JSON would eat the n of its escape."""
    answer = {
        "choices": [{"message": {"content": "mail:\nann@example.org"}, "index": 0}],
        "created": 13912345678,
    }
    assert mask_json(answer) == {
        "choices": [{"message": {"content": "mail:\n[email]"}, "index": 0}],
        "created": 13912345678,
    }
