"""Stand-ins for the widgets of Slicer and CTK; what they offer is `host.contract`."""

from .collapsible_button import ctkCollapsibleButton
from .color_picker_button import ctkColorPickerButton
from .module_widget import qSlicerScriptedLoadableModuleWidget
from .mrml_widget import qMRMLWidget
from .node_combo_box import qMRMLNodeComboBox
from .path_line_edit import ctkPathLineEdit
from .segment_selector import qMRMLSegmentSelectorWidget
from .slider_widget import ctkSliderWidget
from .table_view import qMRMLTableView

STAND_INS = {
    each.__name__: each
    for each in (
        qMRMLWidget,
        qMRMLNodeComboBox,
        qMRMLSegmentSelectorWidget,
        qMRMLTableView,
        qSlicerScriptedLoadableModuleWidget,
        ctkCollapsibleButton,
        ctkSliderWidget,
        ctkPathLineEdit,
        ctkColorPickerButton,
    )
}
"""Each stand-in by its C++ name, which is also its name in .ui files."""
