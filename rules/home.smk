# Where the workflow lies, and a look at the configuration's files before Snakemake reads them.
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Where this workflow lies, also if another one uses it as a module.
HOME = Path(str(workflow.current_basedir)).parent
if not (HOME / "workflow_scripts").is_dir():
    raise WorkflowError(
        f"obj2ngp works as a module from a local clone only: its programs do not come along from {HOME}"
    )
if set("{}") & set(str(HOME)):
    raise WorkflowError(f"{HOME}: Snakemake cannot run from a path with {{ or }} in it")
sys.path.insert(0, str(HOME / "workflow_scripts"))

from obj2ngp.common.files import UserError, in_a_line
from obj2ngp.workflow.config_file import check_file

CONFIGURATION = "config/config.yaml"

if not workflow.modifier.skip_configfile and os.path.exists(CONFIGURATION):
    try:
        check_file(CONFIGURATION)
    except UserError as error:
        raise WorkflowError(in_a_line(str(error))) from None
