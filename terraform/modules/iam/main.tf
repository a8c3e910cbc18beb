# Three roles: the control plane's, which the agent uses, the base workers', and that of the machines Joinery launches.
#
# The policies stand in policies/ as the documents that AWS gets; docs/security.md says for each action which call needs
# it and what happens without it.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  tags = merge(var.tags, { "joinery.sh/cluster" = var.cluster })
  place = {
    partition = data.aws_partition.current.partition
    suffix    = data.aws_partition.current.dns_suffix
    account   = data.aws_caller_identity.current.account_id
    region    = data.aws_region.current.name
    prefix    = var.prefix
  }
  roles = toset(["control-plane", "base", "node"])

  trust = templatefile("${path.module}/policies/trust.json.tftpl", local.place)
  agent = templatefile("${path.module}/policies/agent.json.tftpl", merge(local.place, {
    cluster   = var.cluster
    discovery = var.discovery_tag
    node_role = aws_iam_role.this["node"].arn
  }))
  node          = templatefile("${path.module}/policies/node.json.tftpl", local.place)
  control_plane = templatefile("${path.module}/policies/control-plane.json.tftpl", local.place)
  images        = templatefile("${path.module}/policies/images.json.tftpl", local.place)
  queue         = var.use_queue ? templatefile("${path.module}/policies/queue.json.tftpl", { queue = var.queue_arn }) : null

  # Whoever reads the token decrypts it; only the control plane writes.
  key = { for role in local.roles : role => var.use_kms_key ? templatefile("${path.module}/policies/key.json.tftpl", merge(local.place, {
    key       = var.kms_key_arn
    actions   = role == "control-plane" ? ["kms:Decrypt", "kms:Encrypt"] : ["kms:Decrypt"]
    parameter = role == "control-plane" ? "*" : "bootstrap-token"
  })) : null }

  policies = merge(
    { "control-plane/agent" = local.agent, "control-plane/control-plane" = local.control_plane },
    { "base/join" = local.node, "node/join" = local.node },
    var.pull_from_ecr ? { for role in local.roles : "${role}/images" => local.images } : {},
    var.use_kms_key ? { for role in local.roles : "${role}/key" => local.key[role] } : {},
    var.use_queue ? { "control-plane/queue" = local.queue } : {},
  )
}

resource "aws_iam_role" "this" {
  for_each = local.roles

  name                 = "${var.cluster}-${each.key}"
  description          = "Machines of ${var.cluster}: ${each.key}"
  assume_role_policy   = local.trust
  permissions_boundary = var.permissions_boundary

  tags = local.tags
}

resource "aws_iam_role_policy" "this" {
  for_each = local.policies

  name   = split("/", each.key)[1]
  role   = aws_iam_role.this[split("/", each.key)[0]].name
  policy = each.value
}

resource "aws_iam_role_policy_attachment" "additional" {
  for_each = { for pair in setproduct(local.roles, keys(var.additional_policy_arns)) : "${pair[0]}/${pair[1]}" => pair }

  role       = aws_iam_role.this[each.value[0]].name
  policy_arn = var.additional_policy_arns[each.value[1]]
}

resource "aws_iam_instance_profile" "this" {
  for_each = local.roles

  name = "${var.cluster}-${each.key}"
  role = aws_iam_role.this[each.key].name

  tags = local.tags

  # A machine that starts before its rights are there waits; one that starts before its profile is there fails.
  depends_on = [aws_iam_role_policy.this]
}

resource "aws_iam_service_linked_role" "spot" {
  count = var.create_spot_role ? 1 : 0

  aws_service_name = "spot.amazonaws.com"
  description      = "EC2 Spot launches by it"
}
