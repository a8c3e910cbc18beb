# Where the cluster tells machines how to join.
#
# The bootstrap token and the ticket of further control-plane machines are no resources: Terraform would keep them in its
# state. The agent and the control plane write those. What is made here is public, and made so that `terraform destroy`
# removes it: facts that a former cluster of this name left behind would send new machines to it.

locals {
  prefix = coalesce(var.prefix, "/joinery/${var.cluster}")
  tags   = merge(var.tags, { "joinery.sh/cluster" = var.cluster })
}

resource "aws_ssm_parameter" "join_facts" {
  # checkov:skip=CKV2_AWS_34: what it holds is public
  name        = "${local.prefix}/join-facts"
  description = "Public facts for joining ${var.cluster}; written by Joinery"
  type        = "String"
  value       = "not there yet"
  tags        = local.tags

  lifecycle {
    ignore_changes = [value, description]
  }
}

# "new" until the first control-plane machine has made the cluster: what replaces that machine later joins, and never
# makes a second cluster.
resource "aws_ssm_parameter" "control_plane_state" {
  # checkov:skip=CKV2_AWS_34: what it holds is public
  name        = "${local.prefix}/control-plane/state"
  description = "Whether the cluster ${var.cluster} was made; written by its first control-plane machine"
  type        = "String"
  value       = "new"
  tags        = local.tags

  lifecycle {
    ignore_changes = [value, description]
  }
}

resource "aws_kms_key" "this" {
  # checkov:skip=CKV2_AWS_64: the default policy leaves it to IAM, where the module iam narrows it
  count = var.create_kms_key ? 1 : 0

  description             = "Bootstrap tokens of ${var.cluster}"
  enable_key_rotation     = true
  deletion_window_in_days = 7
  tags                    = local.tags
}
