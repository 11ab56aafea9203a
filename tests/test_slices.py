"""Slices: every object is in one, whoever else there is."""

import pytest

from obj2ngp.common.files import UserError
from obj2ngp.workflow.slices import LARGEST, Slices, choice

NAMES = [f"02958343-{number:05}" for number in range(5000)]


@pytest.mark.parametrize("count", [1, 3, 8, 64])
def test_every_object_is_in_one_slice_and_slices_are_of_like_size(count):
    slices = Slices(NAMES)
    members = [slices.objects(f"{index}-of-{count}") for index in range(1, count + 1)]
    assert sorted(sum(members, [])) == NAMES
    mean = len(NAMES) / count
    assert all(abs(len(names) - mean) < 5 * mean**0.5 for names in members)


def test_an_added_object_moves_no_other():
    before, after = Slices(NAMES), Slices(["added", *NAMES])
    for index in range(1, 9):
        assert set(after.objects(f"{index}-of-8")) - {"added"} == set(before.objects(f"{index}-of-8"))


@pytest.mark.parametrize("slice", ["1-of-1", "3-of-6", "8-of-8"])
def test_a_large_slice_consists_of_small_ones(slice):
    slices = Slices(NAMES)
    parts = slices.parts(slice)
    assert sorted(sum(map(slices.objects, parts), [])) == sorted(slices.objects(slice))
    assert all(not slices.parts(part) and 0 < len(slices.objects(part)) < 1.5 * LARGEST for part in parts)


def test_few_objects_are_one_slice():
    assert Slices(["chair"]).smallest() == ["1-of-1"]
    assert Slices(["chair"]).parts("1-of-1") == []


def test_the_smallest_slices_are_those_of_which_larger_ones_consist():
    slices = Slices(NAMES)
    assert slices.smallest() == slices.parts("1-of-1") == slices.parts("1-of-2") + slices.parts("2-of-2")


def test_a_slice_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="there is no slice 9-of-8"):
        Slices(NAMES).objects("9-of-8")


def test_slices_are_the_same_where_only_the_objects_of_one_are_known():
    slices = Slices(NAMES)
    [part, *_] = slices.parts("1-of-2")
    known = Slices(slices.objects("1-of-2"), len(NAMES))
    assert known.parts("1-of-2") == slices.parts("1-of-2")
    assert known.objects(part) == slices.objects(part)


@pytest.mark.parametrize(
    "targets, jobs, wanted",
    [
        (["results/slices/1-of-2"], [], ["1-of-2"]),
        (["results/slices/1-of-4", "results/slices/3-of-4"], [], ["1-of-4", "3-of-4"]),
        (["results/a/orbit.gif"], [], ["a"]),
        ([], [{"object": "a", "split": "val"}, {"object": "b"}], ["a", "b"]),
        ([], [], None),
        (["all"], [], None),
        (["results/a/orbit.gif", "objects"], [], None),
        (["results/summary.csv"], [], None),
        (["results/gallery/index.html"], [], None),
        (["results/plots/psnr.svg"], [], None),
        ([], [{"object": "a"}, {}], None),
        ([], [{"slice": "1-of-2"}], None),
    ],
)
def test_a_run_is_told_which_objects_it_can_need(targets, jobs, wanted):
    chosen = choice(targets, jobs, "results")
    if wanted is None:
        assert chosen is None
        return
    slices = [slice for slice in wanted if "-of-" in slice]
    names = ["a", "b", *NAMES]
    in_slices = [name for slice in slices for name in Slices(names).objects(slice)]
    assert {name for name in names if chosen(name)} == set(in_slices or wanted)
