# The control plane: one machine with a fixed address, or three behind a network load balancer.
#
# userdata.sh is rendered from userdata_templates/ by `make generate`. What differs between machines is one JSON document
# in it. Nothing in it is secret.

data "aws_region" "current" {}

data "aws_ssm_parameter" "image" {
  count = var.image_id == null ? 1 : 0

  name = "/aws/service/canonical/ubuntu/server/24.04/stable/current/${var.architecture}/hvm/ebs-gp3/ami-id"
}

locals {
  tags     = merge(var.tags, { "joinery.sh/cluster" = var.cluster, "joinery.sh/role" = "control-plane" })
  balanced = var.machines > 1
  address  = local.balanced ? null : var.private_ip
  host     = local.balanced ? aws_lb.api[0].dns_name : local.address

  networks = {
    flannel = {
      version = "0.27.4"
      source  = "https://github.com/flannel-io/flannel/releases/download/v%s/kube-flannel.yml"
    }
    calico = {
      version = "3.30.3"
      source  = "https://raw.githubusercontent.com/projectcalico/calico/v%s/manifests/calico.yaml"
    }
    # Cilium publishes no manifest; its program makes one. This is the program's source, the version is Cilium's.
    cilium = {
      version = "1.18.2"
      source  = "https://github.com/cilium/cilium-cli/releases/download/v0.18.7/cilium-linux-${var.architecture}.tar.gz"
    }
  }
  network         = local.networks[var.pod_network.name]
  network_version = coalesce(var.pod_network.version, local.network.version)
  network_source  = replace(local.network.source, "%s", local.network_version)

  machine = {
    cluster          = var.cluster
    region           = data.aws_region.current.name
    prefix           = var.prefix
    kmsKey           = var.kms_key_arn == null ? "" : var.kms_key_arn
    release          = var.kubernetes_version
    endpoint         = "${local.host}:6443"
    certificateNames = var.certificate_names
    podCidr          = var.pod_cidr
    serviceCidr      = var.service_cidr
    network          = var.pod_network.name
    networkVersion   = local.network_version
    networkSource    = coalesce(var.pod_network.source, local.network_source)
    networkSha256    = var.pod_network.sha256
    wheel            = var.joinery.wheel
    wheelSha256      = var.joinery.sha256
    settings         = var.joinery.settings
  }
  userdata = [for index in range(var.machines) : base64gzip(replace(
    file("${path.module}/userdata.sh"), "@JOINERY_MACHINE@", jsonencode(merge(local.machine, { first = index == 0 })),
  ))]
}

resource "aws_instance" "this" {
  # checkov:skip=CKV_AWS_126: detailed monitoring costs extra and nothing here reads it
  count = var.machines

  ami                     = var.image_id == null ? nonsensitive(data.aws_ssm_parameter.image[0].value) : var.image_id
  instance_type           = var.instance_type
  subnet_id               = element(var.subnet_ids, count.index)
  private_ip              = local.address
  vpc_security_group_ids  = var.security_group_ids
  iam_instance_profile    = var.instance_profile
  key_name                = var.key_name
  user_data_base64        = local.userdata[count.index]
  disable_api_termination = var.termination_protection
  ebs_optimized           = true
  volume_tags             = merge(local.tags, { Name = "${var.cluster}-control-plane-${count.index}" })

  # Pods are one hop further away, so with a limit of one they cannot use this machine's role.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  root_block_device {
    volume_size = var.volume_gib
    volume_type = "gp3"
    encrypted   = true
  }

  tags = merge(local.tags, { Name = "${var.cluster}-control-plane-${count.index}" })

  lifecycle {
    # Both count at the first boot only. A newer image or module must not replace or stop a control plane.
    ignore_changes = [ami, user_data_base64]

    precondition {
      condition     = length(local.userdata[count.index]) <= 21848
      error_message = "The userData of the control plane is longer than the 16384 bytes that EC2 takes; shorten joinery.settings or certificate_names."
    }
  }
}

resource "aws_lb" "api" {
  # checkov:skip=CKV_AWS_91: a network load balancer logs TLS listeners only, and this one passes TCP on
  # checkov:skip=CKV_AWS_150: termination_protection decides; the example to try has it off
  count = local.balanced ? 1 : 0

  name               = substr(replace("${var.cluster}-api", "/[^A-Za-z0-9-]/", "-"), 0, 32)
  internal           = true
  load_balancer_type = "network"
  subnets            = var.subnet_ids
  security_groups    = var.security_group_ids

  enable_cross_zone_load_balancing = true
  enable_deletion_protection       = var.termination_protection

  tags = local.tags
}

# By address and without the clients' addresses: a machine that reaches itself through the load balancer would otherwise
# get no answer.
resource "aws_lb_target_group" "api" {
  count = local.balanced ? 1 : 0

  name               = substr(replace("${var.cluster}-api", "/[^A-Za-z0-9-]/", "-"), 0, 32)
  vpc_id             = var.vpc_id
  port               = 6443
  protocol           = "TCP"
  target_type        = "ip"
  preserve_client_ip = "false"

  health_check {
    protocol = "HTTPS"
    path     = "/readyz"
    matcher  = "200-399"
    interval = 10
  }

  tags = local.tags
}

resource "aws_lb_listener" "api" {
  count = local.balanced ? 1 : 0

  load_balancer_arn = aws_lb.api[0].arn
  port              = 6443
  protocol          = "TCP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.api[0].arn
  }

  tags = local.tags
}

resource "aws_lb_target_group_attachment" "api" {
  count = local.balanced ? var.machines : 0

  target_group_arn = aws_lb_target_group.api[0].arn
  target_id        = aws_instance.this[count.index].private_ip
  port             = 6443
}
