# What EC2 says of machines before they go, in a queue.

locals {
  tags = merge(var.tags, { "joinery.sh/cluster" = var.cluster })
  events = {
    spot-interruption = { source = ["aws.ec2"], detail-type = ["EC2 Spot Instance Interruption Warning"] }
    rebalance         = { source = ["aws.ec2"], detail-type = ["EC2 Instance Rebalance Recommendation"] }
    state-change      = { source = ["aws.ec2"], detail-type = ["EC2 Instance State-change Notification"] }
    health = {
      source      = ["aws.health"]
      detail-type = ["AWS Health Event"]
      detail      = { service = ["EC2"], eventTypeCategory = ["scheduledChange"] }
    }
  }
}

resource "aws_sqs_queue" "this" {
  name = "${replace(var.cluster, ".", "-")}-interruptions"

  # A notice that is five minutes old is of no use, and nothing piles up when nobody reads.
  message_retention_seconds = 300
  sqs_managed_sse_enabled   = true

  tags = local.tags
}

resource "aws_sqs_queue_policy" "this" {
  queue_url = aws_sqs_queue.this.id
  policy = templatefile("${path.module}/policies/queue.json.tftpl", {
    queue = aws_sqs_queue.this.arn
    rules = [for rule in aws_cloudwatch_event_rule.this : rule.arn]
  })
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each = local.events

  name          = "${replace(var.cluster, ".", "-")}-${each.key}"
  description   = "For ${var.cluster}: ${each.value.detail-type[0]}"
  event_pattern = jsonencode(each.value)

  tags = local.tags
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = aws_cloudwatch_event_rule.this

  rule = each.value.name
  arn  = aws_sqs_queue.this.arn
}
