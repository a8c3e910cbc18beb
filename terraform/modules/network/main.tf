# One place for all machines: private subnets, and two security groups that let nodes and control plane talk.
#
# Nothing here looks at instances, so nothing here can touch one that Joinery launched.

locals {
  made       = var.vpc_id == null
  discovery  = { "karpenter.sh/discovery" = coalesce(var.discovery_tag, var.cluster) }
  tags       = merge(var.tags, { "joinery.sh/cluster" = var.cluster })
  vpc_id     = local.made ? aws_vpc.this[0].id : var.vpc_id
  zones      = local.made ? var.zones : []
  subnet_ids = local.made ? [for zone in var.zones : aws_subnet.private[zone].id] : var.subnet_ids
  # Eighths of the VPC for machines; the first eighth is cut up for the public subnets.
  private_cidrs = { for index, zone in local.zones : zone => cidrsubnet(var.cidr, 3, index + 1) }
  nat_zones     = var.nat_per_zone ? local.zones : slice(local.zones, 0, min(1, length(local.zones)))

  # What crosses between the two groups beside the API. All three networks encapsulate by default, so pods need no
  # ports of their own, and the source/destination check of EC2 may stay on.
  pod_network_ports = {
    flannel = [{ protocol = "udp", from = 8472, to = 8472, why = "VXLAN of Flannel" }]
    calico = [
      { protocol = "4", from = null, to = null, why = "IP-in-IP of Calico" },
      { protocol = "udp", from = 4789, to = 4789, why = "VXLAN of Calico" },
      { protocol = "tcp", from = 179, to = 179, why = "BGP of Calico" },
    ]
    cilium = [
      { protocol = "udp", from = 8472, to = 8472, why = "VXLAN of Cilium" },
      { protocol = "tcp", from = 4240, to = 4240, why = "health checks of Cilium" },
      { protocol = "icmp", from = 8, to = 0, why = "health checks of Cilium" },
    ]
  }
  to_control_plane = concat(
    [
      { protocol = "tcp", from = 6443, to = 6443, why = "API server" },
      { protocol = "tcp", from = 10250, to = 10250, why = "kubelet, for metrics" },
    ],
    local.pod_network_ports[var.pod_network],
  )
}

resource "aws_vpc" "this" {
  # checkov:skip=CKV2_AWS_11: flow logs cost by the gigabyte; whoever wants them adds them to the output vpc_id
  count = local.made ? 1 : 0

  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = merge(local.tags, { Name = var.cluster })
}

# What is not opened below is closed: nothing may use the VPC's default group by accident.
resource "aws_default_security_group" "closed" {
  count = local.made ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = merge(local.tags, { Name = "${var.cluster}-closed" })
}

resource "aws_internet_gateway" "this" {
  count = local.made ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = merge(local.tags, { Name = var.cluster })
}

resource "aws_subnet" "public" {
  for_each = toset(local.zones)

  vpc_id            = aws_vpc.this[0].id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 6, index(local.zones, each.key))

  tags = merge(local.tags, { Name = "${var.cluster}-public-${each.key}" })
}

resource "aws_subnet" "private" {
  for_each = toset(local.zones)

  vpc_id            = aws_vpc.this[0].id
  availability_zone = each.key
  cidr_block        = local.private_cidrs[each.key]

  tags = merge(local.tags, local.discovery, { Name = "${var.cluster}-private-${each.key}" })
}

resource "aws_ec2_tag" "discovery" {
  for_each = var.tag_subnets ? toset(var.subnet_ids) : toset([])

  resource_id = each.value
  key         = keys(local.discovery)[0]
  value       = values(local.discovery)[0]
}

resource "aws_route_table" "public" {
  count = local.made ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this[0].id
  }

  tags = merge(local.tags, { Name = "${var.cluster}-public" })
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_zones)

  domain = "vpc"

  tags = merge(local.tags, { Name = "${var.cluster}-nat-${each.key}" })
}

resource "aws_nat_gateway" "this" {
  for_each = toset(local.nat_zones)

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id

  tags = merge(local.tags, { Name = "${var.cluster}-${each.key}" })

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "private" {
  for_each = toset(local.zones)

  vpc_id = aws_vpc.this[0].id

  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.this[var.nat_per_zone ? each.key : local.nat_zones[0]].id
  }

  tags = merge(local.tags, { Name = "${var.cluster}-private-${each.key}" })
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[each.key].id
}

resource "aws_security_group" "nodes" {
  # checkov:skip=CKV2_AWS_5: attached to machines by other modules, Joinery's included
  name        = "${var.cluster}-nodes"
  description = "Workers of the cluster, Terraform's and Joinery's"
  vpc_id      = local.vpc_id

  tags = merge(local.tags, local.discovery, { Name = "${var.cluster}-nodes" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "control_plane" {
  # checkov:skip=CKV2_AWS_5: attached to machines by other modules, Joinery's included
  name        = "${var.cluster}-control-plane"
  description = "Control plane of the cluster"
  vpc_id      = local.vpc_id

  tags = merge(local.tags, { Name = "${var.cluster}-control-plane" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "out" {
  for_each = { nodes = aws_security_group.nodes.id, control_plane = aws_security_group.control_plane.id }

  security_group_id = each.value
  description       = "Packages, images and AWS"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

# Within each group everything is open: kubelets, pods and whatever the pod network needs; etcd between the control
# plane's machines. Workers do not reach etcd.
resource "aws_vpc_security_group_ingress_rule" "within" {
  for_each = { nodes = aws_security_group.nodes.id, control_plane = aws_security_group.control_plane.id }

  security_group_id            = each.value
  description                  = "Each other"
  ip_protocol                  = "-1"
  referenced_security_group_id = each.value
}

resource "aws_vpc_security_group_ingress_rule" "control_plane_to_nodes" {
  security_group_id            = aws_security_group.nodes.id
  description                  = "Control plane to kubelets, webhooks and pods"
  ip_protocol                  = "-1"
  referenced_security_group_id = aws_security_group.control_plane.id
}

resource "aws_vpc_security_group_ingress_rule" "nodes_to_control_plane" {
  for_each = { for rule in local.to_control_plane : rule.why => rule }

  security_group_id            = aws_security_group.control_plane.id
  description                  = each.value.why
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.from
  to_port                      = each.value.to
  referenced_security_group_id = aws_security_group.nodes.id
}

resource "aws_vpc_security_group_ingress_rule" "people_to_api" {
  for_each = toset(var.api_cidrs)

  security_group_id = aws_security_group.control_plane.id
  description       = "API server for people"
  ip_protocol       = "tcp"
  from_port         = 6443
  to_port           = 6443
  cidr_ipv4         = each.value
}
