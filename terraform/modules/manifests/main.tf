# What Joinery is told: its settings, and a class and a pool to begin with. Pure text; no provider is needed.

locals {
  settings = merge(
    { clusterName = var.cluster, region = var.region },
    var.prefix == "/joinery/${var.cluster}" ? {} : { ssmPrefix = var.prefix },
    var.kms_key_arn == null ? {} : { kmsKeyId = var.kms_key_arn },
    var.settings,
  )
  discovery = [{ tags = { "karpenter.sh/discovery" = var.discovery_tag } }]

  node_class = {
    apiVersion = "karpenter.k8s.aws/v1"
    kind       = "EC2NodeClass"
    metadata   = { name = "default" }
    spec = {
      amiFamily                  = "Ubuntu"
      instanceProfile            = var.instance_profile
      subnetSelectorTerms        = local.discovery
      securityGroupSelectorTerms = local.discovery
      blockDeviceMappings = [{
        deviceName = "/dev/sda1"
        ebs        = { volumeSize = "${var.volume_gib}Gi", volumeType = "gp3", encrypted = true }
      }]
    }
  }

  requirements = concat(
    [
      { key = "node.kubernetes.io/instance-type", operator = "In", values = var.pool.instance_types },
      { key = "karpenter.sh/capacity-type", operator = "In", values = var.pool.capacity_types },
      { key = "kubernetes.io/arch", operator = "In", values = [var.pool.architecture] },
    ],
    length(var.pool.zones) == 0 ? [] : [{ key = "topology.kubernetes.io/zone", operator = "In", values = var.pool.zones }],
  )
  taints = [for taint in var.pool.taints : merge(
    { key = split("=", split(":", taint)[0])[0], effect = split(":", taint)[1] },
    length(split("=", taint)) == 1 ? {} : { value = split("=", split(":", taint)[0])[1] },
  )]
  pool_spec = merge(
    {
      nodeClassRef = { group = "karpenter.k8s.aws", kind = "EC2NodeClass", name = "default" }
      requirements = local.requirements
    },
    length(local.taints) == 0 ? {} : { taints = local.taints },
  )
  node_pool = {
    apiVersion = "karpenter.sh/v1"
    kind       = "NodePool"
    metadata   = { name = var.pool.name }
    spec = {
      template = merge(
        { spec = local.pool_spec },
        length(var.pool.labels) == 0 ? {} : { metadata = { labels = var.pool.labels } },
      )
      limits     = { cpu = var.pool.cpu, memory = var.pool.memory }
      disruption = { consolidationPolicy = "WhenEmpty", consolidateAfter = var.pool.empty_after }
    }
  }
}
