"""All checks of one annotation file that need no image."""

from collections.abc import Iterator

from mmdet_ext.datasets.checks.annotation_file import AnnotationFile
from mmdet_ext.datasets.checks.boxes import check_boxes
from mmdet_ext.datasets.checks.entrances import check_entrances
from mmdet_ext.datasets.checks.findings import Finding
from mmdet_ext.datasets.checks.links import check_links
from mmdet_ext.datasets.checks.points import check_points
from mmdet_ext.datasets.checks.slots import check_slots
from mmdet_ext.datasets.checks.structure import check_structure


def check_annotations(file: AnnotationFile, thorough: bool = True) -> Iterator[Finding]:
    """Check the annotations of a file, parking slots or plain boxes.

    Args:
        file: The file.
        thorough: Compare slots with their neighbours, too, which needs a search.

    Yields:
        Findings.
    """
    yield from check_structure(file)
    yield from check_boxes(file)
    if file.is_parking:
        yield from check_slots(file)
        yield from check_points(file)
        yield from check_links(file)
        if thorough:
            yield from check_entrances(file)
