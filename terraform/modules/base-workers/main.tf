# Fixed workers. They join by themselves with the token that Joinery publishes, and are admitted for their tags
# joinery.sh/cluster and joinery.sh/role=base. Joinery never drains or terminates them.

data "aws_region" "current" {}

data "aws_ssm_parameter" "image" {
  count = var.image_id == null ? 1 : 0

  name = "/aws/service/canonical/ubuntu/server/24.04/stable/current/${var.architecture}/hvm/ebs-gp3/ami-id"
}

locals {
  tags = merge(var.tags, { "joinery.sh/cluster" = var.cluster, "joinery.sh/role" = "base" })

  # A machine's subnet depends on its own name alone, so that a further group moves nobody.
  machines = merge([for name, group in var.groups : { for index in range(group.machines) : "${name}-${index}" => {
    group  = group
    subnet = group.subnet == null ? parseint(substr(md5(name), 0, 6), 16) + index : group.subnet
  } }]...)
}

resource "aws_instance" "this" {
  # checkov:skip=CKV_AWS_126: detailed monitoring costs extra and nothing here reads it
  for_each = local.machines

  ami                     = var.image_id == null ? nonsensitive(data.aws_ssm_parameter.image[0].value) : var.image_id
  instance_type           = each.value.group.instance_type
  subnet_id               = element(var.subnet_ids, each.value.subnet)
  vpc_security_group_ids  = var.security_group_ids
  iam_instance_profile    = var.instance_profile
  key_name                = var.key_name
  disable_api_termination = var.termination_protection
  ebs_optimized           = true
  volume_tags             = merge(local.tags, { Name = "${var.cluster}-${each.key}" })

  user_data_base64 = base64gzip(replace(file("${path.module}/userdata.sh"), "@JOINERY_MACHINE@", jsonencode({
    region         = data.aws_region.current.name
    factsParameter = var.facts_parameter
    labels         = each.value.group.labels
    taints         = each.value.group.taints
  })))

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  root_block_device {
    volume_size = each.value.group.volume_gib
    volume_type = "gp3"
    encrypted   = true
  }

  tags = merge(local.tags, { Name = "${var.cluster}-${each.key}" })

  lifecycle {
    # Both count at the first boot only. Labels and taints of a node that has joined are changed with kubectl.
    ignore_changes = [ami, user_data_base64]
  }
}
